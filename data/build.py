"""Makes the data files and the manifest out of scikit-learn's copies: `python data/build.py`.

scikit-learn is needed here and in the test that rebuilds the arrays, never to run the
harness.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from sklearn.datasets import load_digits, load_iris

from harness.datasets.base import array_digest

FOLDER = Path(__file__).resolve().parent

ABOUT = {
    "digits": {
        "title": "Optical Recognition of Handwritten Digits, the 1,797 digits of its test part",
        "source": "UCI Machine Learning Repository, doi 10.24432/C50P49, as in scikit-learn",
        "attribution": "E. Alpaydin and C. Kaynak, 1998",
        "licence": "CC BY 4.0",
        "rows": 1797,
        "split": "in file order, which keeps writers together: the first rows train, the last "
        "are held out (`train_rows` in a config)",
        "values": "images: 0 to 16, counts of ink in 4x4 blocks; labels: 0 to 9",
    },
    "iris": {
        "title": "Iris",
        "source": "UCI Machine Learning Repository, doi 10.24432/C56C76, as in scikit-learn",
        "attribution": "R. A. Fisher, 1936",
        "licence": "CC BY 4.0",
        "rows": 150,
        "split": "in file order within each species: the last rows are held out "
        "(`held_out_per_species` in a config)",
        "values": "measurements: tenths of a centimetre (sepal length and width, petal length "
        "and width); species: 0 setosa, 1 versicolor, 2 virginica",
    },
}


def arrays() -> dict[str, dict[str, np.ndarray]]:
    """Every array of every file, as scikit-learn has it, in the smallest exact type."""
    digits, iris = load_digits(), load_iris()
    tenths = np.rint(iris.data * 10.0)
    assert np.allclose(tenths / 10.0, iris.data, rtol=0, atol=1e-12)
    return {
        "digits": {
            "images": digits.images.astype(np.uint8),
            "labels": digits.target.astype(np.uint8),
        },
        "iris": {"measurements": tenths.astype(np.uint8), "species": iris.target.astype(np.uint8)},
    }


def manifest(files: dict[str, dict[str, np.ndarray]]) -> dict[str, object]:
    """What data/manifest.yaml says of each file."""
    return {
        name: {
            **ABOUT[name],
            "arrays": {
                key: {
                    "shape": list(array.shape),
                    "dtype": array.dtype.name,
                    "sha256": array_digest(array),
                }
                for key, array in content.items()
            },
        }
        for name, content in files.items()
    }


if __name__ == "__main__":
    built = arrays()
    for stem, content in built.items():
        np.savez_compressed(FOLDER / f"{stem}.npz", **content)
    text = yaml.safe_dump(manifest(built), sort_keys=False, width=96, allow_unicode=True)
    header = "# What each .npz file holds and where it comes from. Made by build.py.\n"
    (FOLDER / "manifest.yaml").write_text(header + text, encoding="utf-8")
