"""Tables of a small made-up EchoNet-Dynamic: four clips listed, one of them missing."""

from __future__ import annotations

from pathlib import Path

NAMES = ("0XA", "0XB", "0XC")
"""Clips that the tests put into Videos/; 0XGONE is listed only."""


def write_tables(root: Path) -> None:
    """Write FileList.csv and VolumeTracings.csv into `root`."""
    (root / "FileList.csv").write_text(
        "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"
        "0XA,55.5,30,70,112,112,50,20,TRAIN\n0XB.avi,,30,70,112,112,50,20,VAL\n0XC,61,1,2,112,112,50,20,test\n"
        "0XGONE,61,1,2,112,112,50,20,TRAIN\n")
    (root / "VolumeTracings.csv").write_text(
        "FileName,X1,Y1,X2,Y2,Frame\n0XA.avi,1,2,3,4,46\n0XA.avi,1,2,3,4,46\n0XA.avi,1,2,3,4,61\n0XC,1,1,1,1,3\n")
