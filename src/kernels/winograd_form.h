// What is told of a Winograd plan: its figures, and how its filters lie.
#pragma once

#include "core/fingerprint.h"
#include "kernels/winograd_plan.h"

namespace fastconv {
namespace {

// What explains a cover: the figures of one image.
template <class T>
void describe_winograd(const WinogradPlan<T>& plan, const WinogradCover& cover, ConvPlan* answer) {
  const TiledAxis<T>&r = plan.row_axis, &c = plan.column_axis;
  answer->m[0] = cover.row.m;
  answer->m[1] = cover.column.m;
  answer->r[0] = cover.row.r > 0 ? cover.row.r : cover.row_runs.most_taps;
  answer->r[1] = cover.column.r > 0 ? cover.column.r : cover.column_runs.most_taps;
  answer->mixed = cover.row.r == 0 || cover.column.r == 0;
  answer->folded = cover.folded;
  answer->relative_cost = cover.cost / cover.direct_cost;
  int64_t products = 0;
  for (int i = 0; i < plan.group_count; ++i)
    products += plan.values(plan.groups[i]) * plan.k(plan.groups[i]);
  answer->multiplications =
      products * plan.outputs * plan.op.groups * plan.depth.out * r.tiles() * c.tiles();
}

// Identifies how transformed filters lie: everything that transform_filter goes by.
template <class T>
uint64_t filter_form(const WinogradPlan<T>& plan) {
  Fingerprint form;
  form.add_all({kFirstCover, sizeof(T), kPanel<T>, kLanes<T>, plan.op.groups, plan.op.channels,
                plan.op.outputs, plan.lanes, plan.outputs, plan.piece, plan.depth.taps});
  form.add_all({plan.backward, plan.folded, plan.merged_columns, plan.merged_phases});
  form.add_all(plan.p.kernel);
  form.add_all(plan.p.stride);
  const auto add_axis = [&](const TiledAxis<T>& axis) {
    form.add(axis.phases);
    for (int i = 0; i < axis.piece_count; ++i) {
      const Piece& piece = axis.pieces[i];
      const Transform<T>& transform = *axis.windows[piece.window].transform;
      form.add_all({piece.window, piece.phase, piece.lead, piece.taps, piece.kernel,
                    piece.kernel_step, transform.n, transform.r});
    }
  };
  add_axis(plan.row_axis);
  add_axis(plan.column_axis);
  return form.value;
}

}  // namespace
}  // namespace fastconv
