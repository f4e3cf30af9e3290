"""CIFAR-10 with the small hybrid: convolutions first, axial attention at 16 x 16 and 8 x 8.

    axialzoo train cifar10 --data FOLDER --out runs/cifar10

On one CPU core with bfloat16 instructions it takes about 90 minutes, and gives 93.2 % on the test images (the checkpoint that ships:
93.2 % of the 1,000 images held out, 93.22 % of the test images, 94.06 % with their mirror images too; 16 epochs in the place of 60
gave 89.55 %).

Images are 24 x 24 crops for most of the training and whole at the end: the network takes any size, and a crop costs
about half as much. Mirroring alternates from epoch to epoch, so that two epochs show both sides of every image.
"""

from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="axial_resnet_cifar10",
    preprocessing=Preprocessing(size=(32, 32), resize="shorter", crop=1.0, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    epochs=60,
    progressive_sizes=((0.85, 24),),
    learning_rate=0.1,
    weight_decay=5e-3,
    loss={"label_smoothing": 0.1},
    precision="bfloat16",
    holdout=1000,
)
