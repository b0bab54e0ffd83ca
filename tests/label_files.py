"""Files of labels as others publish them, written by hand, and a small network that they are about."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

WIDTHS = {"conv1": 4, "layer1": 6, "layer4": 8, "fc": 5}

DND = '''Neuron ID,Label 1,Label 2,Label 3
3,stripes,thin stripes,Stripes
0,round lids, ,"""Lids, of pots"""
5,"dots
and more dots.",null,nan
7,"I'm sorry, I cannot determine a concept.",n/a,
'''
DND_ONE = 'Neuron ID,label\n0,boats at sea\n4,"""mens hats"""'
DND_CANDIDATES = "Neuron ID,Concept 0,Concept 1\n2,red walls,walls\n"
CLIP_DISSECT = "layer,unit,description,similarity\nconv1,0,red,0.25\nconv1,1, teal,0.5\nlayer4,7,none,\n"
UNSCORED = 'layer,unit,description\nlayer1,0,"Red, and round"\nlayer1,5,Nothing\n'
MILANNOTATIONS = """layer,unit,summary
layer1,4,the tops of trees
layer1,4, leaves
layer1,4,the tops of trees
layer1,0,wheels
"""
NETDISSECT = (
    "unit,category,label,score,color-label,color-truth,color-activation,color-intersect,color-iou,"
    "scene-label,scene-truth,scene-activation,scene-intersect,scene-iou,"
    "object-label,object-truth,object-activation,object-intersect,object-iou\n"
    "1,color,teal-c,0.125,teal-c,80,40,15,0.125,beach-s,90,40,10,0.0625,,0,40,0,0.0\n"
    "6,object,lamp,0.5,grey-c,80,40,15,0.03125,attic-s,90,40,10,0.25,lamp,50,40,30,0.5\n"
)
INVERT = "neuron,concept,concept_id,metric\n0,sea OR lake,12,0.875\n7,cat,n02121808,0.75\n"
FALCON = """group,concept_set_words,concept_set_noun_phrases
2,"[('wheel', 0.5), (""it's"", 0.25)]","[('a wheel', 0.75)]"
"0,6","[('sea', 0.5)]",[]
"""
COSY = "neuron,concept,AUC,U1,p,MAD\n0,red,0.75,12,0.5,1.5\n3,teal,0.5,,,-0.25\n"
HUMAN = """Layer,Unit,DnD Label,MILAN Label,DnD E1 Rating,MILAN E1 Rating,DnD E2 Rating,MILAN E2 Rating,\
Uninterpretable E1,None E1,Uninterpretable E2,None E2
1,2,Red things,Things,4,2,5,,FALSE,FALSE,FALSE,TRUE
4,7,Wheels,Round objects,5,3,5,4,TRUE,FALSE,FALSE,FALSE
"""
RATINGS = "layer,unit,method,label,rater,rating,exemplars,note\nlayer1,0,dnd,wheels,ann,4.5,set-1,\n"


def network(seed: int = 0) -> nn.Sequential:
    """Give a network whose modules have the names and widths above."""
    torch.manual_seed(seed)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 4, 3, stride=2),
        layer1=nn.Conv2d(4, 6, 3),
        layer4=nn.Conv2d(6, 8, 3),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        fc=nn.Linear(8, 5),
    )
    return nn.Sequential(parts).eval()


def to_tensor(picture: Image.Image) -> Tensor:
    """Bring a picture to 16 × 16 pixels between -1 and 1."""
    pixels = np.asarray(picture.resize((16, 16)), np.float32) / 127.5 - 1
    return torch.from_numpy(pixels).permute(2, 0, 1)


def written(folder: Path, text: str, name: str = "labels.csv") -> Path:
    """Write a file of labels."""
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path
