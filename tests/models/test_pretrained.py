"""Weights of files with torchvision's and timm's names, made of models written here."""

import numpy as np
import pytest

from fastconv import models
from fastconv.models.pretrained import load_pretrained

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file
nn = torch.nn


def vgg(column, naming):
    """VGG as torchvision writes it, for images of 32 x 32, with dense layers of 64."""
    layers, channels = [], 3
    for block in column:
        for filters in block:
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    net = nn.Module()
    net.features = nn.Sequential(*layers)
    if naming == "torchvision":
        net.classifier = nn.Sequential(
            *(nn.Linear(channels * 4, 4096), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
            nn.Linear(4096, 7),
        )
        net.forward = lambda x: net.classifier(net.features(x).flatten(1))
    else:
        net.pre_logits = nn.Module()
        net.pre_logits.fc1 = nn.Conv2d(channels, 4096, 2)
        net.pre_logits.fc2 = nn.Conv2d(4096, 4096, 1)
        net.head = nn.Module()
        net.head.fc = nn.Linear(4096, 7)

        def forward(x):
            y = torch.relu(net.pre_logits.fc1(net.features(x)))
            return net.head.fc(torch.relu(net.pre_logits.fc2(y)).flatten(1))

        net.forward = forward
    return net.eval()


class Block(nn.Module):
    """A residual block as torchvision writes it; sizes are those of its convolutions."""

    def __init__(self, channels, widths, sizes, strides, project):
        super().__init__()
        self.count = len(widths)
        for i, (width, size, stride) in enumerate(zip(widths, sizes, strides, strict=True), 1):
            conv = nn.Conv2d(channels, width, size, stride, size // 2, bias=False)
            setattr(self, f"conv{i}", conv)
            setattr(self, f"bn{i}", nn.BatchNorm2d(width))
            channels = width
        self.downsample = project

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = torch.relu(y) if i < self.count else y
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def resnet(blocks, bottleneck):
    net = nn.Module()
    net.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    net.bn1 = nn.BatchNorm2d(64)
    channels = 64
    for stage, count in enumerate(blocks):
        made = []
        for number in range(count):
            width, stride = 64 << stage, 2 if stage and not number else 1
            out = width * 4 if bottleneck else width
            project = None
            if channels != out or stride > 1:
                conv = nn.Conv2d(channels, out, 1, stride, bias=False)
                project = nn.Sequential(conv, nn.BatchNorm2d(out))
            if bottleneck:
                block = Block(channels, (width, width, out), (1, 3, 1), (1, stride, 1), project)
            else:
                block = Block(channels, (width, out), (3, 3), (stride, 1), project)
            made.append(block)
            channels = out
        setattr(net, f"layer{stage + 1}", nn.Sequential(*made))
    net.fc = nn.Linear(channels, 7)

    def forward(x):
        y = torch.relu(net.bn1(net.conv1(x)))
        y = torch.nn.functional.max_pool2d(y, 3, 2, 1)
        for stage in range(4):
            y = getattr(net, f"layer{stage + 1}")(y)
        return net.fc(y.mean((2, 3)))

    net.forward = forward
    return net.eval()


def shake(net):
    """Weights that keep the size of values, statistics of a normalization that was trained."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(0, 0.2)
    return net


COLUMNS = {
    "A": ((64,), (128,), (256, 256), (512, 512)),
    "D": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
}
CASES = {
    "vgg16 torchvision": (lambda: vgg(COLUMNS["D"], "torchvision"), lambda: models.vgg16),
    "vgg16 timm": (lambda: vgg(COLUMNS["D"], "timm"), lambda: models.vgg16),
    "resnet18": (lambda: resnet((2, 2, 2, 2), False), lambda: models.resnet18),
    "resnet34": (lambda: resnet((3, 4, 6, 3), False), lambda: models.resnet34),
    "resnet50": (lambda: resnet((3, 4, 6, 3), True), lambda: models.resnet50),
}


@pytest.fixture(autouse=True)
def no_first_values(monkeypatch):
    from fastconv import initializers

    monkeypatch.setattr(initializers.VarianceScaling, "draw", lambda *args: np.zeros(args[2]))


@pytest.mark.parametrize("name", CASES)
def test_outputs_equal(name, tmp_path):
    theirs, ours = CASES[name]
    net = shake(theirs())
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    side = 64
    model = ours()((side, side, 3), 7)
    assert load_pretrained(model, tmp_path / "weights.safetensors") == []
    x = np.random.default_rng(0).standard_normal((2, side, side, 3)).astype(np.float32)
    with torch.no_grad():
        images = torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
        expected = torch.softmax(net.forward(images), 1).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(model.predict(x), expected, rtol=0, atol=1e-4)


def test_another_number_of_classes_keeps_the_last_layer(tmp_path):
    net = shake(resnet((2, 2, 2, 2), False))
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    model = models.resnet18((64, 64, 3), 5)
    before = model.get_layer("conv1").get_weights()[0]
    with pytest.raises(ValueError, match=r"fc.weight has shape \(7, 512\), expected \(5, 512\)"):
        load_pretrained(model, tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(model.get_layer("conv1").get_weights()[0], before)
    assert load_pretrained(model, tmp_path / "weights.safetensors", skip_mismatched=True) == ["fc"]
    loaded = model.get_layer("conv1").weight("kernel").array
    np.testing.assert_array_equal(loaded, net.conv1.weight.detach().numpy())


def test_names_of_your_own(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5))
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    model = models.Sequential(models.lenet5().layers[:3])
    model.build((None, 28, 28, 1))
    load_pretrained(model, tmp_path / "weights.safetensors", {"conv1": "0", "conv2": "1"})
    np.testing.assert_array_equal(
        model.get_layer("conv2").weight("bias").array, net[1].bias.detach().numpy()
    )
    with pytest.raises(ValueError, match="has nothing for layer 'conv2', looked for no name"):
        load_pretrained(model, tmp_path / "weights.safetensors", {"conv1": "0"})


def test_files_that_cannot_be_read(tmp_path):
    model = models.resnet18((64, 64, 3), 5)
    with pytest.raises(FileNotFoundError, match="expected a safetensors file"):
        load_pretrained(model, tmp_path / "nothing")
    (tmp_path / "text").write_text("weights")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_pretrained(model, tmp_path / "text")
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part")
    with pytest.raises(ValueError, match=r"has nothing for layer 'bn1', looked for bn1\.weight"):
        load_pretrained(model, tmp_path / "part")
