/* Somebody's C program: one convolution through the ABI, and one that must be refused. */
#include <fastconv/fastconv.h>

#include <stdio.h>
#include <string.h>

static fastconv_tensor tensor(float *data, int64_t n, int64_t c, int64_t h, int64_t w) {
  fastconv_tensor t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t;
  t.data = data;
  t.dtype = FASTCONV_FLOAT32;
  t.ndim = 4;
  t.shape[0] = n, t.shape[1] = c, t.shape[2] = h, t.shape[3] = w;
  t.strides[0] = c * h * w, t.strides[1] = h * w, t.strides[2] = w, t.strides[3] = 1;
  return t;
}

int main(void) {
  /* Two channels of 3 x 3, a 2 x 2 window that takes the corner differences. */
  float x[18], w[8] = {1, 0, 0, -1, 0, 1, -1, 0}, b[1] = {10}, y[4] = {0, 0, 0, 0};
  const float expected[4] = {10 - 4 + 0.2f, 10 - 4 + 0.2f, 10 - 4 + 0.2f, 10 - 4 + 0.2f};
  fastconv_tensor input = tensor(x, 1, 2, 3, 3), weight = tensor(w, 1, 2, 2, 2);
  fastconv_tensor output = tensor(y, 1, 1, 2, 2), bias, wrong;
  fastconv_conv_params params;
  fastconv_epilogue epilogue;
  fastconv_status status;
  int64_t shape[FASTCONV_MAX_NDIM];
  const char *names[16];
  int i, count;

  for (i = 0; i < 9; ++i) x[i] = (float)i;                 /* x[h, w] = 3 h + w */
  for (i = 0; i < 9; ++i) x[9 + i] = -0.1f * (float)i;     /* difference 2: -0.1 * (1 - 3) */
  memset(&bias, 0, sizeof bias);
  bias.struct_size = sizeof bias;
  bias.data = b;
  bias.dtype = FASTCONV_FLOAT32;
  bias.ndim = 1;
  bias.shape[0] = bias.strides[0] = 1;
  memset(&params, 0, sizeof params);
  params.struct_size = sizeof params;
  params.spatial_ndim = 2;
  params.groups = 1;
  for (i = 0; i < 2; ++i) params.stride[i] = params.dilation[i] = 1;
  memset(&epilogue, 0, sizeof epilogue);
  epilogue.struct_size = sizeof epilogue;
  epilogue.bias = &bias;
  epilogue.activation = FASTCONV_RELU;

  if (fastconv_abi_version() != FASTCONV_ABI_VERSION) return 1;
  count = fastconv_available_isas(names, 16);
  if (count < 1 || strcmp(names[count - 1], "reference") != 0) return 2;
  if (fastconv_conv_output_shape(shape, &input, &weight, &params) != FASTCONV_OK) return 3;
  if (shape[0] != 1 || shape[1] != 1 || shape[2] != 2 || shape[3] != 2) return 4;
  status = fastconv_conv_forward(&output, &input, &weight, &epilogue, &params, NULL);
  if (status != FASTCONV_OK) {
    fprintf(stderr, "%s\n", fastconv_last_error());
    return 5;
  }
  for (i = 0; i < 4; ++i) {
    const float difference = y[i] - expected[i];
    if (difference > 1e-5f || difference < -1e-5f) return 6;
  }
  wrong = tensor(w, 1, 1, 2, 2);
  y[0] = 42;
  status = fastconv_conv_forward(&output, &input, &wrong, NULL, &params, NULL);
  if (status != FASTCONV_INVALID_ARGUMENT || y[0] != 42) return 7;
  if (strstr(fastconv_last_error(), "weight") == NULL) return 8;
  printf("fastconv %s on %s\n", fastconv_version(), fastconv_isa());
  return 0;
}
