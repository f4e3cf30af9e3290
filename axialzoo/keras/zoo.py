"""The named models in Keras. Written by tools/models.py from the registry."""

from __future__ import annotations

from axialzoo.keras.factory import Builder, builder

__all__ = [
    "axial_deeplab_camvid",
    "axial_deeplab_l",
    "axial_deeplab_l_backbone",
    "axial_deeplab_m",
    "axial_deeplab_m_backbone",
    "axial_deeplab_max_l",
    "axial_deeplab_max_s",
    "axial_deeplab_nuclei",
    "axial_deeplab_nuclei_xs",
    "axial_deeplab_s",
    "axial_deeplab_s_backbone",
    "axial_deeplab_swidernet_1_1_1",
    "axial_deeplab_swidernet_1_1_3",
    "axial_deeplab_swidernet_1_1_4_5",
    "axial_deeplab_xl",
    "axial_deeplab_xl_backbone",
    "axial_fcos_blood_cells",
    "axial_fcos_blood_cells_xs",
    "axial_resnet26_s",
    "axial_resnet50",
    "axial_resnet50_full_l",
    "axial_resnet50_full_m",
    "axial_resnet50_full_s",
    "axial_resnet50_gelu",
    "axial_resnet50_l",
    "axial_resnet50_m",
    "axial_resnet50_s",
    "axial_resnet_cifar10",
    "axial_resnet_cifar10_xs",
    "axial_resnet_l",
    "axial_resnet_s",
    "axial_swidernet_1_1_1",
    "axial_swidernet_1_1_3",
    "axial_swidernet_1_1_4_5",
    "axial_unet",
    "convolutional_unet",
    "fcos_axial_resnet26_s",
    "fcos_axial_resnet50_l",
    "fcos_axial_resnet50_s",
    "gated_axial_unet",
    "kmax_deeplab_axial_resnet50",
    "kmax_deeplab_axial_resnet50_cityscapes",
    "kmax_deeplab_nuclei",
    "kmax_deeplab_nuclei_xs",
    "kmax_deeplab_resnet50",
    "kmax_deeplab_resnet50_cityscapes",
    "kmax_deeplab_resnet50_cityscapes_torch",
    "kmax_deeplab_resnet50_torch",
    "logo_axial_unet",
    "max_deeplab_l",
    "max_deeplab_l_backbone",
    "max_deeplab_nuclei",
    "max_deeplab_nuclei_xs",
    "max_deeplab_s",
    "max_deeplab_s_backbone",
    "medical_transformer",
    "medical_transformer_xs",
    "resnet50",
    "resnet50_beta",
    "stand_alone_resnet50",
    "stand_alone_resnet50_ps",
]

axial_resnet26_s: Builder = builder("axial_resnet26_s")
axial_resnet50_s: Builder = builder("axial_resnet50_s")
axial_resnet50_m: Builder = builder("axial_resnet50_m")
axial_resnet50_l: Builder = builder("axial_resnet50_l")
axial_resnet50: Builder = builder("axial_resnet50")
axial_resnet50_full_s: Builder = builder("axial_resnet50_full_s")
axial_resnet50_full_m: Builder = builder("axial_resnet50_full_m")
axial_resnet50_full_l: Builder = builder("axial_resnet50_full_l")
axial_resnet_cifar10: Builder = builder("axial_resnet_cifar10")
axial_resnet_cifar10_xs: Builder = builder("axial_resnet_cifar10_xs")
stand_alone_resnet50: Builder = builder("stand_alone_resnet50")
stand_alone_resnet50_ps: Builder = builder("stand_alone_resnet50_ps")
axial_resnet_s: Builder = builder("axial_resnet_s")
axial_resnet_l: Builder = builder("axial_resnet_l")
axial_deeplab_s_backbone: Builder = builder("axial_deeplab_s_backbone")
axial_deeplab_m_backbone: Builder = builder("axial_deeplab_m_backbone")
axial_deeplab_l_backbone: Builder = builder("axial_deeplab_l_backbone")
axial_deeplab_xl_backbone: Builder = builder("axial_deeplab_xl_backbone")
axial_swidernet_1_1_1: Builder = builder("axial_swidernet_1_1_1")
axial_swidernet_1_1_3: Builder = builder("axial_swidernet_1_1_3")
axial_swidernet_1_1_4_5: Builder = builder("axial_swidernet_1_1_4_5")
max_deeplab_s_backbone: Builder = builder("max_deeplab_s_backbone")
max_deeplab_l_backbone: Builder = builder("max_deeplab_l_backbone")
axial_resnet50_gelu: Builder = builder("axial_resnet50_gelu")
resnet50: Builder = builder("resnet50")
resnet50_beta: Builder = builder("resnet50_beta")
axial_deeplab_s: Builder = builder("axial_deeplab_s")
axial_deeplab_m: Builder = builder("axial_deeplab_m")
axial_deeplab_l: Builder = builder("axial_deeplab_l")
axial_deeplab_xl: Builder = builder("axial_deeplab_xl")
axial_deeplab_swidernet_1_1_1: Builder = builder("axial_deeplab_swidernet_1_1_1")
axial_deeplab_swidernet_1_1_3: Builder = builder("axial_deeplab_swidernet_1_1_3")
axial_deeplab_swidernet_1_1_4_5: Builder = builder("axial_deeplab_swidernet_1_1_4_5")
axial_deeplab_max_s: Builder = builder("axial_deeplab_max_s")
axial_deeplab_max_l: Builder = builder("axial_deeplab_max_l")
axial_deeplab_nuclei: Builder = builder("axial_deeplab_nuclei")
axial_deeplab_nuclei_xs: Builder = builder("axial_deeplab_nuclei_xs")
axial_deeplab_camvid: Builder = builder("axial_deeplab_camvid")
fcos_axial_resnet26_s: Builder = builder("fcos_axial_resnet26_s")
fcos_axial_resnet50_s: Builder = builder("fcos_axial_resnet50_s")
fcos_axial_resnet50_l: Builder = builder("fcos_axial_resnet50_l")
axial_fcos_blood_cells: Builder = builder("axial_fcos_blood_cells")
axial_fcos_blood_cells_xs: Builder = builder("axial_fcos_blood_cells_xs")
max_deeplab_s: Builder = builder("max_deeplab_s")
max_deeplab_l: Builder = builder("max_deeplab_l")
kmax_deeplab_resnet50: Builder = builder("kmax_deeplab_resnet50")
kmax_deeplab_resnet50_cityscapes: Builder = builder("kmax_deeplab_resnet50_cityscapes")
kmax_deeplab_axial_resnet50: Builder = builder("kmax_deeplab_axial_resnet50")
kmax_deeplab_axial_resnet50_cityscapes: Builder = builder("kmax_deeplab_axial_resnet50_cityscapes")
kmax_deeplab_resnet50_torch: Builder = builder("kmax_deeplab_resnet50_torch")
kmax_deeplab_resnet50_cityscapes_torch: Builder = builder("kmax_deeplab_resnet50_cityscapes_torch")
max_deeplab_nuclei: Builder = builder("max_deeplab_nuclei")
max_deeplab_nuclei_xs: Builder = builder("max_deeplab_nuclei_xs")
kmax_deeplab_nuclei: Builder = builder("kmax_deeplab_nuclei")
kmax_deeplab_nuclei_xs: Builder = builder("kmax_deeplab_nuclei_xs")
convolutional_unet: Builder = builder("convolutional_unet")
axial_unet: Builder = builder("axial_unet")
gated_axial_unet: Builder = builder("gated_axial_unet")
logo_axial_unet: Builder = builder("logo_axial_unet")
medical_transformer: Builder = builder("medical_transformer")
medical_transformer_xs: Builder = builder("medical_transformer_xs")
