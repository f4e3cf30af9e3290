"""CIFAR-10 with the small hybrid: convolutions first, axial attention at 16 x 16 and 8 x 8.

    axialzoo train cifar10 --data FOLDER --out runs/cifar10

On 2 CPU cores with bfloat16 instructions it takes about 45 minutes, more where others use them too, and gives 89 to 90 %
on the test images (the checkpoint that ships: 89.45 % of the 2,000 images held out, 89.55 % of the test images).

Images are 24 x 24 crops for most of the training and whole at the end: the network takes any size, and a crop costs
about half as much. Mirroring alternates from epoch to epoch, so that two epochs show both sides of every image.
"""

from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="axial_resnet_cifar10",
    preprocessing=Preprocessing(size=(32, 32), resize="shorter", crop=1.0, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    epochs=16,
    sizes=((0.8, 24),),
    learning_rate=0.1,
    weight_decay=5e-3,
    loss={"label_smoothing": 0.1},
    precision="bfloat16",
    holdout=2000,
)
