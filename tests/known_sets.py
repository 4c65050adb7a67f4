"""Trees of files as the owners of the sets hand them out: true names, labels and subjects, tiny generated pixels.

``plant(layout, root)`` writes one and returns what the label table says of each image: dicts with the columns of
``tests/data/label_tables``. Sets without a table there follow the documented format.
"""

import csv
import re
from pathlib import Path

import av
import numpy as np
from PIL import Image

TABLES = Path(__file__).parent / "data" / "label_tables"
PIXELS = " ".join(["128"] * 48 * 48)
CLIP_SECONDS = 2
FER2013_CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FER2013_USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
RAFDB_CODES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
CKPLUS_CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
EMOREACT_CODES = (
    "curiosity", "uncertainty", "excitement", "happiness", "surprise", "disgust", "fear", "frustration",
)  # fmt: skip
SFEW_FOLDERS = {
    "anger": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
    "happiness": "Happy",
    "neutral": "Neutral",
    "sadness": "Sad",
    "surprise": "Surprise",
}


def truth(layout):
    """The rows of the label table of a set."""
    with (TABLES / f"{layout}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def image(path, shade=90):
    """A tiny picture in the format that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(path)


def text(path, *lines):
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def video(path, seconds=CLIP_SECONDS, rate=10):
    """A grey clip that gets brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for number in range(int(seconds * rate)):
            pixels = np.full((16, 16, 3), number * 10 % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def plant(layout, root):
    """Write the set *layout* below *root* and return the truth about each of its images."""
    return _PLANTERS.get(layout, _plant_named)(root, layout)


def _plant_named(root, layout):
    rows = truth(layout)
    for row in rows:
        image(root / row["name"])
    return rows


def _plant_jaffe(root, layout):
    rows = [{**row, "name": re.sub(r"_(..\d)_(\d+)\.png", r".\1.\2.tiff", row["name"])} for row in truth(layout)]
    for row in rows:
        image(root / row["name"])
    return rows


def _plant_kdef(root, layout):
    rows = truth(layout)
    for row in rows:
        image(root / "KDEF" / row["name"][:4] / row["name"])
    return rows


def _plant_sfew(root, layout):
    rows = truth(layout)
    for row in rows:
        image(root / {"train": "Train", "val": "Val"}[row["subset"]] / SFEW_FOLDERS[row["class"]] / row["name"])
    return rows


def _plant_rafdb(root, layout):
    rows = truth(layout)
    basic = root / "basic"
    text(
        basic / "EmoLabel" / "list_patition_label.txt",
        *(f"{row['name'].replace('_aligned', '')} {RAFDB_CODES.index(row['class']) + 1}" for row in rows),
    )
    for row in rows:
        image(basic / "Image" / "aligned" / row["name"])
        group = sum(float(row["age"]) >= border for border in (4, 20, 40, 70))
        told = basic / "Annotation" / "manual" / row["name"].replace("_aligned.jpg", "_manu_attri.txt")
        text(told, *["46.000\t88.000"] * 5, ("male", "female").index(row["gender"]), 2, group)
    return rows


def _plant_ckplus(root, layout):
    rows = truth(layout)
    peaks = {row["name"].rsplit("_", 1)[0]: row for row in sorted(rows, key=lambda row: row["name"])}
    for row in rows:
        subject, sequence, _ = row["name"].split("_")
        image(root / "cohn-kanade-images" / subject / sequence / row["name"])
    for name, row in peaks.items():
        subject, sequence = name.split("_")
        told = root / "Emotion" / subject / sequence / row["name"].replace(".png", "_emotion.txt")
        text(told, f"   {CKPLUS_CODES.index(row['class']):.7e}")
    image(root / "cohn-kanade-images" / "S999" / "001" / "S999_001_00000001.png")  # a sequence without a label
    return rows


def _plant_fer2013(root, _layout):
    rows = truth("fer2013")
    splits = [("train", "validation", "test")[number % 3] for number in range(len(rows))]
    text(
        root / "fer2013.csv",
        "emotion,pixels,Usage",
        *(
            f"{FER2013_CODES.index(row['class'])},{PIXELS},{FER2013_USAGES[split]}"
            for row, split in zip(rows, splits, strict=True)
        ),
    )
    return [{**row, "subset": split} for row, split in zip(rows, splits, strict=True)]


def _plant_ferplus(root, layout):
    rows = _plant_fer2013(root, layout)
    words = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
    votes = [",".join("8" if word == row["class"] else str(int(word == "NF")) for word in words) for row in rows]
    text(
        root / "fer2013new.csv",
        f"Usage,Image name,{','.join(words)}",
        *(f"{FER2013_USAGES[row['subset']]},fer{n:07d}.png,{votes[n]}" for n, row in enumerate(rows)),
    )
    return rows


def _plant_emoreact(root, layout):
    rows = truth(layout)
    folders = {"train": ("Train", "Train"), "val": ("Val", "Validation"), "test": ("Test", "Test")}
    for split, (lists, clips) in folders.items():
        shown = {}
        for row in rows:
            if row["subset"] == split:
                shown.setdefault(row["name"].rpartition("_f")[0], set()).add(row["class"])
        text(root / "Labels" / f"{lists}_names.txt", *("'" + clip.replace("'", "''") + ".mp4'" for clip in shown))
        codes = [",".join(str(int(word in words)) for word in EMOREACT_CODES) for words in shown.values()]
        text(root / "Labels" / f"{split}_labels.text", *(f"{code},4.5" for code in codes))
        for clip in shown:
            video(root / "Data" / clips / f"{clip}.mp4")
    return rows


def _plant_liris(root, layout):
    rows = truth(layout)
    for clip in {row["name"].rpartition("_f")[0] for row in rows}:
        video(root / f"{clip}.mp4")
    return rows


def _plant_cafe(root, _layout):
    names = ["10541-happy_F-EA-14", "10542-happyopen_F-EA-14", "9977-angry_F-AA-01", "9978-surprise_M-PI-02"]
    for name in names:
        image(root / "sessions" / "6401" / f"{name}.jpg")
    return [{"name": f"{name}.jpg"} for name in names]


def _plant_affectnet(root, _layout):
    head = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    rows = [{"name": f"{n}/{n:02x}a1.jpg", "class": str(n), "subset": "train"} for n in range(11)]
    last = {"name": "101/ff.jpg", "class": "1", "subset": "validation"}
    lines = [f"{row['name']},1,2,5,4,10;11;12,{row['class']},0.1,-0.2" for row in (*rows, last)]
    lists = root / "Manually_Annotated_file_lists"
    text(lists / "training.csv", head, *lines[:-1])
    text(lists / "validation.csv", lines[-1])  # copies come without the first line
    for row in (*rows, last):
        image(root / "Manually_Annotated_Images" / row["name"])
    return [*rows, last]


def _plant_expw(root, _layout):
    rows = [{"name": f"afraid_child_{n // 2}.jpg", "class": FER2013_CODES[n]} for n in range(7)]
    lines = [f"{row['name']} {n % 2} 1 2 7 6 60.5 {n}" for n, row in enumerate(rows)]
    text(root / "data" / "label" / "label.lst", *lines)
    for row in rows:
        image(root / "data" / "image" / "origin" / row["name"])
    return rows


def _plant_folders(root, _layout):
    names = ["train/happy/1.jpg", "train/sad/2.jpg", "test/angry/3.png"]
    for name in names:
        image(root / name)
    return [{"name": name} for name in names]


def _plant_table(root, _layout):
    text(root / "frames.csv", "path,expression", "faces/1.jpg,Happy", "faces/2.jpg,calm")
    for name in ("faces/1.jpg", "faces/2.jpg"):
        image(root / name)
    return [{"name": "faces/1.jpg"}]


_PLANTERS = {
    "affectnet": _plant_affectnet,
    "cafe": _plant_cafe,
    "ck+": _plant_ckplus,
    "emoreact": _plant_emoreact,
    "expw": _plant_expw,
    "fer2013": _plant_fer2013,
    "ferplus": _plant_ferplus,
    "folders": _plant_folders,
    "jaffe": _plant_jaffe,
    "kdef": _plant_kdef,
    "liris-cse": _plant_liris,
    "raf-db": _plant_rafdb,
    "sfew": _plant_sfew,
    "table": _plant_table,
}
