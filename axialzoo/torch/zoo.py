"""The named models in PyTorch. Written by tools/models.py from the registry."""

from __future__ import annotations

from torch import Tensor

from axialzoo.torch.factory import Builder, builder

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

axial_resnet26_s: Builder[Tensor] = builder("axial_resnet26_s")
axial_resnet50_s: Builder[Tensor] = builder("axial_resnet50_s")
axial_resnet50_m: Builder[Tensor] = builder("axial_resnet50_m")
axial_resnet50_l: Builder[Tensor] = builder("axial_resnet50_l")
axial_resnet50: Builder[Tensor] = builder("axial_resnet50")
axial_resnet50_full_s: Builder[Tensor] = builder("axial_resnet50_full_s")
axial_resnet50_full_m: Builder[Tensor] = builder("axial_resnet50_full_m")
axial_resnet50_full_l: Builder[Tensor] = builder("axial_resnet50_full_l")
axial_resnet_cifar10: Builder[Tensor] = builder("axial_resnet_cifar10")
axial_resnet_cifar10_xs: Builder[Tensor] = builder("axial_resnet_cifar10_xs")
stand_alone_resnet50: Builder[Tensor] = builder("stand_alone_resnet50")
stand_alone_resnet50_ps: Builder[Tensor] = builder("stand_alone_resnet50_ps")
axial_resnet_s: Builder[Tensor] = builder("axial_resnet_s")
axial_resnet_l: Builder[Tensor] = builder("axial_resnet_l")
axial_deeplab_s_backbone: Builder[Tensor] = builder("axial_deeplab_s_backbone")
axial_deeplab_m_backbone: Builder[Tensor] = builder("axial_deeplab_m_backbone")
axial_deeplab_l_backbone: Builder[Tensor] = builder("axial_deeplab_l_backbone")
axial_deeplab_xl_backbone: Builder[Tensor] = builder("axial_deeplab_xl_backbone")
axial_swidernet_1_1_1: Builder[Tensor] = builder("axial_swidernet_1_1_1")
axial_swidernet_1_1_3: Builder[Tensor] = builder("axial_swidernet_1_1_3")
axial_swidernet_1_1_4_5: Builder[Tensor] = builder("axial_swidernet_1_1_4_5")
max_deeplab_s_backbone: Builder[Tensor] = builder("max_deeplab_s_backbone")
max_deeplab_l_backbone: Builder[Tensor] = builder("max_deeplab_l_backbone")
axial_resnet50_gelu: Builder[Tensor] = builder("axial_resnet50_gelu")
resnet50: Builder[Tensor] = builder("resnet50")
resnet50_beta: Builder[Tensor] = builder("resnet50_beta")
axial_deeplab_s: Builder[dict[str, Tensor]] = builder("axial_deeplab_s")
axial_deeplab_m: Builder[dict[str, Tensor]] = builder("axial_deeplab_m")
axial_deeplab_l: Builder[dict[str, Tensor]] = builder("axial_deeplab_l")
axial_deeplab_xl: Builder[dict[str, Tensor]] = builder("axial_deeplab_xl")
axial_deeplab_swidernet_1_1_1: Builder[dict[str, Tensor]] = builder("axial_deeplab_swidernet_1_1_1")
axial_deeplab_swidernet_1_1_3: Builder[dict[str, Tensor]] = builder("axial_deeplab_swidernet_1_1_3")
axial_deeplab_swidernet_1_1_4_5: Builder[dict[str, Tensor]] = builder("axial_deeplab_swidernet_1_1_4_5")
axial_deeplab_max_s: Builder[dict[str, Tensor]] = builder("axial_deeplab_max_s")
axial_deeplab_max_l: Builder[dict[str, Tensor]] = builder("axial_deeplab_max_l")
axial_deeplab_nuclei: Builder[dict[str, Tensor]] = builder("axial_deeplab_nuclei")
axial_deeplab_nuclei_xs: Builder[dict[str, Tensor]] = builder("axial_deeplab_nuclei_xs")
axial_deeplab_camvid: Builder[dict[str, Tensor]] = builder("axial_deeplab_camvid")
fcos_axial_resnet26_s: Builder[dict[str, list[Tensor]]] = builder("fcos_axial_resnet26_s")
fcos_axial_resnet50_s: Builder[dict[str, list[Tensor]]] = builder("fcos_axial_resnet50_s")
fcos_axial_resnet50_l: Builder[dict[str, list[Tensor]]] = builder("fcos_axial_resnet50_l")
axial_fcos_blood_cells: Builder[dict[str, list[Tensor]]] = builder("axial_fcos_blood_cells")
axial_fcos_blood_cells_xs: Builder[dict[str, list[Tensor]]] = builder("axial_fcos_blood_cells_xs")
max_deeplab_s: Builder[dict[str, Tensor]] = builder("max_deeplab_s")
max_deeplab_l: Builder[dict[str, Tensor]] = builder("max_deeplab_l")
kmax_deeplab_resnet50: Builder[dict[str, Tensor]] = builder("kmax_deeplab_resnet50")
kmax_deeplab_resnet50_cityscapes: Builder[dict[str, Tensor]] = builder("kmax_deeplab_resnet50_cityscapes")
kmax_deeplab_axial_resnet50: Builder[dict[str, Tensor]] = builder("kmax_deeplab_axial_resnet50")
kmax_deeplab_axial_resnet50_cityscapes: Builder[dict[str, Tensor]] = builder("kmax_deeplab_axial_resnet50_cityscapes")
kmax_deeplab_resnet50_torch: Builder[dict[str, Tensor]] = builder("kmax_deeplab_resnet50_torch")
kmax_deeplab_resnet50_cityscapes_torch: Builder[dict[str, Tensor]] = builder("kmax_deeplab_resnet50_cityscapes_torch")
max_deeplab_nuclei: Builder[dict[str, Tensor]] = builder("max_deeplab_nuclei")
max_deeplab_nuclei_xs: Builder[dict[str, Tensor]] = builder("max_deeplab_nuclei_xs")
kmax_deeplab_nuclei: Builder[dict[str, Tensor]] = builder("kmax_deeplab_nuclei")
kmax_deeplab_nuclei_xs: Builder[dict[str, Tensor]] = builder("kmax_deeplab_nuclei_xs")
convolutional_unet: Builder[dict[str, Tensor]] = builder("convolutional_unet")
axial_unet: Builder[dict[str, Tensor]] = builder("axial_unet")
gated_axial_unet: Builder[dict[str, Tensor]] = builder("gated_axial_unet")
logo_axial_unet: Builder[dict[str, Tensor]] = builder("logo_axial_unet")
medical_transformer: Builder[dict[str, Tensor]] = builder("medical_transformer")
medical_transformer_xs: Builder[dict[str, Tensor]] = builder("medical_transformer_xs")
