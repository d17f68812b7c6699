"""The metrics: what each tells, its range, when it lies, and where it comes from.

`sparring evaluate --explain NAME`, the table of results and the documentation read these texts; nothing else says them.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sparring.errors import MetricError

COUNT = 10_000
"""Samples that are taken of a generator, and of each side at most where pairs are formed."""

NEIGHBOURS = 5
"""k, of the metrics that look at the k-th neighbour."""

USUAL_N = 3
"""n of BLEU and self-BLEU that are computed unless others are named."""

Needs = Literal[
    "moments",
    "features",
    "samples",
    "pictures",
    "maps",
    "classes",
    "classifier",
    "model",
    "pairs",
    "holes",
    "transfer",
    "texts",
    "forms",
    "code",
    "likelihood",
    "molecules",
    "reward",
    "clips",
    "i3d",
    "long clips",
    "graphs",
]
"""What a metric is computed from."""

NEEDS: dict[Needs, str] = {
    "moments": "features or moments of both sides",
    "features": "features of both sides, not moments alone",
    "samples": "features of B, and features or moments of A",
    "pictures": "pictures of at least 11 pixels a side on both sides",
    "maps": "pictures on both sides, and features with maps, which all have but pixels: --features lite0",
    "classes": "features of both sides, and classes in A: a folder each, or `labels` in the .npz",
    "classifier": "features of B by a network that tells classes apart: --features inception",
    "model": "as B a generator of this program, and features in fp32 with maps, which all have but pixels: "
    "--features lite0",
    "pairs": "the same pictures on both sides, clean and restored, by their names",
    "holes": "the same pictures on both sides, and masks by the same names, white where pixels were missing: --masks",
    "transfer": "photographs, what was made of them, and paintings: they are measured by runs of --task translate",
    "texts": "texts on both sides",
    "forms": "texts on both sides, of which the real ones keep to at most 20 forms, as verses do",
    "code": "texts on both sides, of which the real ones are Python",
    "likelihood": "a generator that says how likely a text is: runs of --task text or molecules measure it",
    "molecules": "molecules on both sides",
    "reward": "something that was asked for besides likeness: runs with --set optimise= measure it",
    "clips": "clips on both sides",
    "i3d": "clips on both sides, and the network of FVD: --features i3d=FILE",
    "long clips": "clips on both sides, of which the generated ones are of a run of --task video, so that they go on",
    "graphs": "a generator that draws graphs: runs with --set representation=graph measure it",
}
"""The same in words."""

PAIRED: frozenset[Needs] = frozenset(["pairs", "holes"])
"""What metrics need that compare picture by picture, not set with set."""

OF_TEXTS: frozenset[Needs] = frozenset(["texts", "forms", "code"])
"""What metrics need that read texts."""

OF_CLIPS: frozenset[Needs] = frozenset(["clips", "i3d", "long clips"])
"""What metrics need that watch clips."""

GROUPS: dict[str, frozenset[Needs]] = {
    "One set with another": frozenset(
        ["moments", "features", "samples", "pictures", "maps", "classes", "classifier", "model"]
    ),
    "Pictures with their originals": frozenset([*PAIRED, "transfer"]),
    "Texts": frozenset([*OF_TEXTS, "likelihood"]),
    "Molecules": frozenset(["molecules", "reward", "graphs"]),
    "Clips": OF_CLIPS,
}
"""What metrics are about, by what they need."""

Better = Literal["lower", "higher", "near 1", "near expected"]


@dataclass(frozen=True)
class Metric:
    """One metric as people read of it.

    title: its name in full. tells: the question it answers, with the answer's unit. range: values, with the best.
    lies: when not to believe it. source: paper and equation. asked: whether it is computed only when it is named, since
    it takes long, or means little without being asked for. share: whether people read it in per cent. unit: what stands
    behind the number. decimals: how many people read; three digits in all if None.
    """

    title: str
    tells: str
    range: str
    better: Better
    lies: str
    source: str
    needs: Needs
    asked: bool = False
    share: bool = False
    unit: str = ""
    decimals: int | None = None

    @property
    def paired(self) -> bool:
        """Whether it compares picture by picture."""
        return self.needs in PAIRED

    @property
    def of_texts(self) -> bool:
        """Whether it reads texts."""
        return self.needs in OF_TEXTS


def _bleu(n: int) -> Metric:
    return Metric(
        f"BLEU-{n} against held-out texts",
        f"how much of the generated texts is said in real ones as well: the mean over samples of BLEU-{n}, the "
        f"share of a sample's n-grams of 1 to {n} tokens that occur in any held-out text, as a geometric mean. What "
        "fresh real texts get stands beside it.",
        "0 to 1; fresh real texts are far from 1, and above their number is not better than they are",
        "higher",
        "One good sentence, repeated, has a high one, and so have frequent phrases stuck together: read it beside "
        "`self_bleu` at the same n, and let no generator be the best by it alone (Caccia et al. 2020). It rises with "
        "the number of held-out texts. Texts of fewer than n tokens get 0.1 for the n-grams that they cannot have.",
        "Papineni et al. 2002, section 2, against all references at once as in Zhu et al. 2018 (Texygen), arXiv "
        "1802.01886; smoothing: method 1 of Chen & Cherry 2014 (0.1 where nothing is found)",
        "texts",
        asked=n != USUAL_N,
        decimals=3,
    )


def _self_bleu(n: int) -> Metric:
    return Metric(
        f"Self-BLEU-{n}",
        f"how much samples repeat each other: the mean BLEU-{n} of each one against all the others. What as many real "
        "texts get stands beside it.",
        "0 to 1 (all the same); near the number of the real texts is good",
        "lower",
        "Noise has a low one. It rises with the number of samples: compare at equal numbers only. Below the number of "
        "the real texts it is no longer variety but faults.",
        "Zhu et al. 2018 (Texygen), arXiv 1802.01886, section 3.2; smoothing as `bleu3`",
        "texts",
        asked=n != USUAL_N,
        decimals=3,
    )


METRICS: dict[str, Metric] = {
    "fid": Metric(
        "Frechet distance",
        "how far the generated features are from the real ones as a whole: both clouds are taken for Gaussians and the "
        "squared distance between these is given. With --features inception it is the FID of the papers.",
        "0 (alike) and up, in squared units of the features: numbers of different feature spaces do not compare",
        "lower",
        "Few samples make it larger, so only equal numbers compare (the interval reaches down to what endless samples "
        "would give). It sees means and covariances alone. It is flattered by generators trained through the same "
        "features, and it does not notice copies of the training set.",
        "Heusel et al. 2017, arXiv 1706.08500, eq. 6; Dowson & Landau 1982",
        "moments",
    ),
    "fid_infinity": Metric(
        "Frechet distance at infinitely many samples",
        "what `fid` would be with endless generated samples: a straight line over 1/N, drawn through fifteen sizes.",
        "about 0 (alike) and up; may fall slightly below 0",
        "lower",
        "The line is an approximation: with fewer samples than twice the features it is bent, and the number still too "
        "high. The bias of the real side stays.",
        "Chong & Forsyth 2020, arXiv 1911.07023",
        "samples",
        asked=True,
    ),
    "kid": Metric(
        "Kernel distance",
        "how far the generated features are from the real ones, without taking them for Gaussians: the squared maximum "
        "mean discrepancy of a cubic kernel. With --features inception it is the KID of the papers.",
        "0 (alike) and up; its expectation does not depend on the number of samples, so it may be slightly negative",
        "lower",
        "It is noisy with few samples (look at the interval). Shares the blind spots of its feature space with `fid`.",
        "Binkowski et al. 2018, arXiv 1801.01401, eq. 4",
        "features",
    ),
    "inception_score": Metric(
        "Inception Score",
        "whether a classifier is sure of each picture, and unsure of what comes next: exp of the mean divergence of a "
        "picture's class probabilities from their average.",
        "1 (no picture differs from another) to the number of classes",
        "higher",
        "It never looks at the real pictures. One perfect picture per class gets the best score; data unlike the "
        "classifier's training set (faces, digits) get numbers without meaning.",
        "Salimans et al. 2016, arXiv 1606.03498, section 4; Barratt & Sharma 2018 on its limits",
        "classifier",
    ),
    "precision": Metric(
        "Precision",
        "which share of the generated samples lies among the real ones (within the ball around one of them that "
        "reaches to its k-th neighbour): fidelity.",
        "0 to 1; fresh real samples do not reach 1 either",
        "higher",
        "Blurred pictures are near to everything and count as precise. One good picture repeated has precision 1. An "
        "outlier among the real samples has a ball in which anything counts.",
        "Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 2",
        "features",
        share=True,
    ),
    "recall": Metric(
        "Recall",
        "which share of the real samples lies among the generated ones: variety.",
        "0 to 1; fresh real samples do not reach 1 either",
        "higher",
        "Samples that scatter have large balls that cover much: bad pictures can have good recall. The more samples, "
        "the smaller their balls and the lower it is: compare at equal numbers only.",
        "Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 2",
        "features",
        share=True,
    ),
    "density": Metric(
        "Density",
        "how many real balls a generated sample lies in, in units of what a real one would: fidelity that an outlier "
        "cannot fool.",
        "0 and up; 1 is expected if both sides are alike",
        "near 1",
        "Far above 1 the samples crowd where the real ones are densest: the mean of the data is dense, too.",
        "Naeem et al. 2020, arXiv 2002.09797, eq. 3",
        "features",
    ),
    "coverage": Metric(
        "Coverage",
        "which share of the real samples has a generated one in its ball: variety that outliers cannot fool.",
        "0 to 1; about 0.97 is expected for k = 5 if both sides are alike and equally many",
        "higher",
        "It says nothing of bad samples beside the good ones, and rises with the number of generated samples: compare "
        "at equal numbers only.",
        "Naeem et al. 2020, arXiv 2002.09797, eq. 4",
        "features",
        share=True,
    ),
    "prc": Metric(
        "Mean of precision, recall and coverage",
        "all three in one number, which is only high if none of them is low: for choosing among generators.",
        "0 to 1",
        "higher",
        "It hides which of the three is low, and has the weaknesses of all of them.",
        "the mean is this program's own; of precision and recall alone it is the F1 score, Sajjadi et al. 2018, "
        "arXiv 1806.00035",
        "features",
        asked=True,
        share=True,
    ),
    "diversity": Metric(
        "Pairwise diversity",
        "the mean distance between two generated samples, relative to that between two real ones.",
        "0 (all the same) and up; 1 is as varied as the real samples",
        "near 1",
        "Noise is diverse, and so is a set of bad pictures. It does not notice a missing class among many.",
        "mean pairwise distance, as in Zhu et al. 2017 (BicycleGAN), arXiv 1711.11586, section 5.1, in these features",
        "features",
    ),
    "memorisation": Metric(
        "Memorisation",
        "which share of the generated samples is nearer to a training sample than that one is to any other training "
        "sample.",
        "0 to 1; what fresh real samples would give stands beside it, copies give more",
        "near expected",
        "Near 0 it may also mean that samples are far from everything, and above the expected that they crowd around a "
        "few real ones without copying them: look at --nearest. Only training data that A holds can be recognised: "
        "give the run itself as A; of more than 50,000 pictures (5,000 in training) it holds a part.",
        "Alaa et al. 2022, arXiv 2102.08921 (1 - authenticity)",
        "features",
        share=True,
    ),
    "copies": Metric(
        "Near-copies",
        "which share of the generated samples is within half the distance that only 1 % of the training samples come "
        "to another one.",
        "0 (good) to 1; fresh real samples hardly ever count",
        "lower",
        "Copies that are shifted, mirrored or of a part only are not seen in pixels, and only partly in features.",
        "the threshold is this program's own; nearest neighbours as in Meehan et al. 2020, arXiv 2004.05675",
        "features",
        share=True,
    ),
    "modes": Metric(
        "Modes found",
        "how many of the real classes occur among the generated samples, by a classifier trained on the real features: "
        "a class counts when it has more samples than the classifier's own errors would bring there.",
        "0 to the number of classes",
        "higher",
        "The classifier must be good (the protocol says how often it is right on held-out real samples), and it gives "
        "every picture a class, even noise.",
        "the count of modes as in Srivastava et al. 2017 (VEEGAN), arXiv 1705.07761, section 5",
        "classes",
    ),
    "kl": Metric(
        "Divergence from the class distribution",
        "how far the shares of the classes among the generated samples are from the real ones: KL(generated || real), "
        "in nats.",
        "0 (as in the data) and up",
        "lower",
        "As `modes`. N samples give about (classes - 1) / 2N by chance.",
        "as in Metz et al. 2017, arXiv 1611.02163, section 3.3.1",
        "classes",
    ),
    "ms_ssim": Metric(
        "MS-SSIM between generated pictures",
        "how alike two random generated pictures are in structure; the real pictures' own number stands beside it.",
        "about 0 (unlike) to 1 (the same picture); near or below the number of the real pictures is good",
        "lower",
        "It measures likeness of shape at the same place. Noise scores low. Below 176 pixels fewer scales are "
        "used, and numbers of different resolutions do not compare.",
        "Wang et al. 2003; Odena et al. 2017, arXiv 1610.09585, section 4.2",
        "pictures",
    ),
    "perceptual_diversity": Metric(
        "Perceptual diversity",
        "the mean perceptual distance between two random generated pictures: in the form of LPIPS, in this feature "
        "space's maps, all layers weighted alike; the real pictures' own number stands beside it.",
        "0 (the same picture) and up; near the number of the real pictures is good",
        "higher",
        "It is not LPIPS itself, whose weights were fitted to people's judgements. Noise is diverse.",
        "Zhang et al. 2018, arXiv 1801.03924, eq. 1, with unit weights",
        "maps",
        asked=True,
    ),
    "ppl": Metric(
        "Perceptual path length",
        "how fast pictures change on the way between two latents: the mean perceptual distance of two close ones over "
        "the square of their distance.",
        "0 and up; smooth generators have a low one; compares generators in the same feature space only",
        "lower",
        "A generator that gives one picture has the best possible one. It tells of smoothness, not of quality.",
        "Karras et al. 2019 (StyleGAN), arXiv 1812.04948, section 4.1",
        "model",
        asked=True,
    ),
    "psnr": Metric(
        "Peak signal-to-noise ratio",
        "how far the restored pictures are from the clean ones, pixel by pixel: the mean over pictures of each one's "
        "10 log10(255^2 / mean squared error).",
        "0 dB (black for white) and up; equal pictures have no finite one and count as though a single value were off "
        "by one",
        "higher",
        "It prefers blur: where several pictures are possible, their mean has the best PSNR and looks like none of "
        "them. The better a restoration looks, the more PSNR it costs beyond some point (the trade-off of perception "
        "and distortion: Blau & Michaeli 2018, arXiv 1711.06077), so `perceptual`, or `fid` of both sets, belongs "
        "beside it. A shift by a pixel costs much and is not seen.",
        "mean over pictures as in Zhang et al. 2017 (DnCNN), arXiv 1608.03981, section 4",
        "pairs",
        unit="dB",
        decimals=2,
    ),
    "psnr_inside": Metric(
        "Peak signal-to-noise ratio in the holes",
        "the same as `psnr`, of the pixels that were missing alone: what was filled in, not what was copied.",
        "0 dB and up",
        "higher",
        "As `psnr`, and more so: a large hole has many good fillings, of which only one is the clean picture.",
        "as `psnr`; of the missing pixels as in Pathak et al. 2016 (context encoders), arXiv 1604.07379, table 1",
        "holes",
        unit="dB",
        decimals=2,
    ),
    "psnr_y": Metric(
        "Peak signal-to-noise ratio of the luminance",
        "the same as `psnr`, of the luminance Y of BT.601 (16 to 235, not rounded, against a peak of 255): what papers "
        "on super-resolution report, with as many pixels of border left out as the picture is enlarged (--shave 4).",
        "0 dB and up; higher than `psnr`, by 1.3 dB where errors are the same in all channels, else by more",
        "higher",
        "As `psnr`; colours do not count. MATLAB rounds Y, which changes some hundredths. Grey pictures are "
        "their own luminance; tools that read them as RGB get 1.3 dB more.",
        "ITU-R BT.601; as in Dong et al. 2015 (SRCNN), arXiv 1501.00092, section 4",
        "pairs",
        asked=True,
        unit="dB",
        decimals=2,
    ),
    "ssim": Metric(
        "Structural similarity",
        "how alike restored and clean pictures are in local brightness, contrast and structure, through windows of "
        "11 x 11 pixels.",
        "about 0 (unlike) to 1 (the same picture)",
        "higher",
        "It prefers blur, too, only less than `psnr` does (Blau & Michaeli 2018). Flat regions make it high whatever "
        "happens elsewhere. Pictures have at least 11 pixels a side.",
        "Wang et al. 2004, eq. 13-16; channels apart, then averaged",
        "pairs",
        decimals=4,
    ),
    "perceptual": Metric(
        "Perceptual distance",
        "how different restored and clean pictures look to a network: in the form of LPIPS, in the maps of "
        "EfficientNet-Lite0 (or another --features), all layers weighted alike, pictures at their own size.",
        "0 (the same picture) and up; compares in the same feature space only",
        "lower",
        "Its numbers are not those of LPIPS, whose weights were fitted to people's judgements and whose network is "
        "another. Faint noise in smooth regions counts for much. It is flattered by restorations trained through the "
        "same network. Read it beside `psnr`: no "
        "restoration can have the best of both (Blau & Michaeli 2018, arXiv 1711.06077).",
        "Zhang et al. 2018, arXiv 1801.03924, eq. 1, with unit weights",
        "pairs",
        decimals=4,
    ),
    "style": Metric(
        "Way to the paintings",
        "which share of the way from photographs to paintings is covered: one minus the Frechet distance between "
        "translated photographs and patches of paintings, relative to that of the photographs as they were; the mean "
        "over styles.",
        "below 0 (further away than before) over 0 (as before) to 1 (cannot be told from the paintings by mean and "
        "covariance)",
        "higher",
        "Few paintings are few scenes: to reach 1 is to show these scenes instead of those of the photographs, which "
        "`structure` sees and this does not. It compares at equal numbers and sizes of patches only, and has the blind "
        "spots of its features; wavelets see strokes and colours, but not what is meant by them.",
        "this program's own, of the distance of Heusel et al. 2017, arXiv 1706.08500, eq. 6",
        "transfer",
        share=True,
    ),
    "structure": Metric(
        "Structure kept",
        "how well the edges of the translated pictures stand where they stood in the photographs: the correlation of "
        "the strengths of wavelets by direction and place, over three octaves.",
        "-1 to 1 (the photograph itself); a picture of something else has about 0.2",
        "higher",
        "The photograph as it was has the best possible one. A style with bold outlines of its own lowers it though "
        "the scene is kept, and edges alone do not say whether a tree is still a tree.",
        "this program's own; wavelets as in Bruna & Mallat 2013",
        "transfer",
        decimals=3,
    ),
    "transfer": Metric(
        "Style and structure together",
        "the harmonic mean of `style` and `structure`, which is only high if neither is low: for choosing among "
        "generators.",
        "0 to 1",
        "higher",
        "It hides which of the two is low, and has the weaknesses of both. Which mixture is the most beautiful is a "
        "matter of taste: look at the pictures.",
        "this program's own",
        "transfer",
        decimals=3,
    ),
    **{f"bleu{n}": _bleu(n) for n in (2, 3, 4, 5)},
    **{f"self_bleu{n}": _self_bleu(n) for n in (2, 3, 4, 5)},
    "perplexity": Metric(
        "Perplexity of what is held out",
        "how well the generator foresees texts or molecules that it was not trained on: among how many equally likely "
        "symbols it would have to guess each next one. It rises again when those that it was trained on are learnt by "
        "heart.",
        "1 (foresees all) up to the number of symbols",
        "lower",
        "Symbols of different vocabularies do not compare. A generator with a good one may still write badly, for it "
        "was never asked to go on from its own mistakes; and the game may improve what is written and harm it.",
        "Jelinek et al. 1977; as NLL of held-out data in Caccia et al. 2020, arXiv 1811.02549",
        "likelihood",
        decimals=1,
    ),
    "forward": Metric(
        "Forward perplexity",
        "how surprising generated texts are to a reader of the training texts: exp of the mean surprise of a token, "
        "the end counted as one, under an n-gram model learnt from these. What held-out texts get stands beside it.",
        "1 (foreseen in every token) and up; near the number of the held-out texts is good",
        "lower",
        "The dullest text has the lowest: a generator that repeats the most frequent phrase beats real texts by far. "
        "Below the number of the held-out ones it is no better than they are. It sees four tokens at a time. Copies of "
        "training texts have a low one.",
        "Zhao et al. 2018, arXiv 1706.04223, section 5; Caccia et al. 2020, arXiv 1811.02549, section 4; the model: "
        "Chen & Goodman 1999 (interpolated modified Kneser-Ney)",
        "texts",
    ),
    "reverse": Metric(
        "Reverse perplexity",
        "how surprising real, held-out texts are to a reader of the generated ones alone: exp of the mean surprise of "
        "a token under an n-gram model learnt from the samples. It is only low if samples are both good and varied. "
        "What a reader of as many real texts gets stands beside it.",
        "1 and up; near the number beside it is good",
        "lower",
        "It falls with the number of samples: compare at equal numbers only. It sees four tokens at a time, so texts "
        "that make sense only phrase by phrase please it. Copies of training texts please it, too: look at `copied`.",
        "Zhao et al. 2018, arXiv 1706.04223, section 5; Caccia et al. 2020, arXiv 1811.02549, section 4; the model as "
        "of `forward`",
        "texts",
    ),
    "distinct": Metric(
        "Different texts",
        "how many different texts there are for each sample. What as many real texts get stands beside it.",
        "0 to 1 (no two are the same)",
        "higher",
        "A word changed makes another text. Noise has 1. It falls with the number of samples.",
        "as in Li et al. 2016, arXiv 1510.03055, section 5.3, of whole texts",
        "texts",
        share=True,
    ),
    "copied": Metric(
        "Copied texts",
        "which share of the samples is a training text, character by character. How many held-out texts are, since "
        "real texts repeat, stands beside it.",
        "0 (good) to 1; short texts coincide by chance",
        "lower",
        "One character changed is no copy here. Of training texts that are not given nothing can be known: give the "
        "run itself as A.",
        "this program's own",
        "texts",
        share=True,
    ),
    "copied_lines": Metric(
        "Copied lines",
        "which share of the lines and clauses, between marks and ends of lines, occurs in a training text as it is. "
        "Which share of those of held-out texts does, stands beside it.",
        "0 to 1; near or below the number of the held-out texts is good",
        "lower",
        "Short clauses and formulas are common property. Where texts have no marks, it is `copied`.",
        "this program's own",
        "texts",
        share=True,
    ),
    "repetition": Metric(
        "Repetition within a text",
        "which share of its pairs of neighbouring tokens a text has had before, the mean over samples. That of the "
        "held-out texts stands beside it.",
        "0 to 1; near the number of the held-out texts is good",
        "lower",
        "Refrains and code repeat with good reason: below the held-out texts is not better. It does not see the same "
        "thing said in other words.",
        "Welleck et al. 2020, arXiv 1908.04319, section 6 (seq-rep-n), with n = 2",
        "texts",
        share=True,
    ),
    "form": Metric(
        "Right form",
        "which share of the samples has one of the forms that the training texts are written in: letters and digits "
        "may be any, marks, spaces and ends of lines must stand where they stand there. That of the held-out texts "
        "stands beside it.",
        "0 to 1",
        "higher",
        "It sees how many letters there are and where marks stand, not what the letters say. A form that fewer than "
        "1 % of the training texts have counts as wrong.",
        "this program's own",
        "forms",
        share=True,
    ),
    "parses": Metric(
        "Parsed by Python",
        "which share of the samples Python's parser takes, indented as a whole or not. That of the held-out texts "
        "stands beside it.",
        "0 to 1",
        "higher",
        "A single name parses. What parses need not run, nor mean anything.",
        "this program's own; the grammar of the Python that runs it",
        "code",
        share=True,
    ),
    "validity": Metric(
        "Valid molecules",
        "which share of the samples is a molecule that RDKit reads, with at least one atom.",
        "0 to 1",
        "higher",
        "Methane a thousand times is valid. Samples in SELFIES are molecules by construction; only empty ones are not.",
        "Polykovskiy et al. 2020 (MOSES), arXiv 1811.12823, section 3",
        "molecules",
        decimals=4,
    ),
    "unique_1k": Metric(
        "Unique among 1,000",
        "which share of the first 1,000 valid molecules is different from one another.",
        "0 to 1; what is good falls short of 1 only if the training set is small or has few molecules",
        "higher",
        "Every molecule different says nothing of how different. It falls with the number of samples, so that fewer "
        "than 1,000 valid ones do not compare with others' numbers.",
        "MOSES, as `validity`",
        "molecules",
        decimals=4,
    ),
    "unique_10k": Metric(
        "Unique among 10,000",
        "the same among the first 10,000 valid molecules; of fewer samples it is left out unless it is named.",
        "0 to 1",
        "higher",
        "As `unique_1k`. A generator that has collapsed is found out here first.",
        "MOSES, as `validity`",
        "molecules",
        decimals=4,
    ),
    "novelty": Metric(
        "Novel molecules",
        "which share of the different valid molecules is not in the training set.",
        "0 (all are copies) to 1; of a small space of molecules much is rediscovered",
        "higher",
        "Noise is novel, and so is one atom changed. High where the generator has not learnt much yet. Without a run "
        "on either side the real molecules stand for the training set.",
        "MOSES, as `validity`",
        "molecules",
        decimals=4,
    ),
    "filters": Metric(
        "Passing filters",
        "which share of the valid molecules a medicinal chemist would look at: no match in RDKit's catalogues PAINS "
        "and BRENK, no charge, no ring of 8 or more atoms, no atoms but C, N, S, O, F, Cl, Br and H. That of the real "
        "molecules stands beside it.",
        "0 to 1; near the number of the real molecules is good",
        "higher",
        "It does not compare with MOSES' tables, whose MCF filters RDKit has not got: BRENK stands in their place. "
        "Small plain molecules pass.",
        "after MOSES, section 3; Baell & Holloway 2010 (PAINS), Brenk et al. 2008",
        "molecules",
        decimals=4,
    ),
    "intdiv": Metric(
        "Internal diversity",
        "one minus the mean Tanimoto similarity of two generated molecules (Morgan fingerprints, radius 2, 1,024 "
        "bits). That of the real molecules stands beside it.",
        "0 (all the same) to 1; near the number of the real molecules is good",
        "higher",
        "Nonsense is diverse. It hardly notices a missing kind of molecules among many.",
        "MOSES, section 3, p = 1; Benhenda 2017, arXiv 1708.08227",
        "molecules",
        decimals=3,
    ),
    "intdiv2": Metric(
        "Internal diversity, p = 2",
        "as `intdiv`, with the root of the mean square similarity of each molecule, which near-copies weigh more in.",
        "0 to 1",
        "higher",
        "As `intdiv`.",
        "MOSES, section 3, p = 2, as its code has it: the mean of roots, not the root of the mean",
        "molecules",
        asked=True,
        decimals=3,
    ),
    "fcd": Metric(
        "Frechet ChemNet distance",
        "how far the valid generated molecules are from the real ones by mean and covariance of what ChemNet, a "
        "network that predicts what molecules do in assays, sees in them.",
        "0 and up; 10,000 molecules of MOSES are 0.25 from 10,000 others of it, 5,000 from as many 0.5",
        "lower",
        "It falls with the number of samples on both sides: compare at equal numbers. Copies of the real molecules "
        "have the best one. It needs fcd_torch, which carries the weights.",
        "Preuer et al. 2018, J. Chem. Inf. Model. 58, 1736",
        "molecules",
    ),
    "fdd": Metric(
        "Frechet distance of descriptors",
        "the same of eight plain numbers of a molecule in place of ChemNet: drug-likeness, logP, accessibility, "
        "weight, polar surface, rings, acceptors and donors, each in units of its deviation among the real ones.",
        "0 and up",
        "lower",
        "Molecules that differ in nothing of these are all the same to it: it is coarse, and stands in where ChemNet "
        "is missing. Its numbers do not compare with `fcd`.",
        "this program's own, of the distance of Heusel et al. 2017, arXiv 1706.08500, eq. 6",
        "molecules",
        asked=True,
    ),
    "snn": Metric(
        "Similarity to the nearest real molecule",
        "the mean Tanimoto similarity of a generated molecule to the real one that it is nearest to (fingerprints as "
        "`intdiv`).",
        "0 to 1 (a copy); held-out real molecules show what is good",
        "higher",
        "Copies have the highest: read it beside `novelty`. Plain chains of carbon are near to much. It rises with the "
        "number of real molecules.",
        "MOSES, section 3 (SNN)",
        "molecules",
        decimals=3,
    ),
    "frag": Metric(
        "Similarity of fragments",
        "the cosine between how often each BRICS fragment occurs among real and among generated molecules.",
        "0 (none in common) to 1 (in the same proportions)",
        "higher",
        "The few most frequent fragments decide it. How they are put together does not matter.",
        "MOSES, section 3 (Frag); fragments: Degen et al. 2008",
        "molecules",
        decimals=3,
    ),
    "scaf": Metric(
        "Similarity of scaffolds",
        "the cosine between how often each Murcko scaffold of two rings or more occurs among real and among generated "
        "molecules.",
        "0 to 1; small sets have most scaffolds once, so that even fresh real molecules stay far below 1",
        "higher",
        "It rises with the number of samples on both sides: compare at equal numbers only.",
        "MOSES, section 3 (Scaf); scaffolds: Bemis & Murcko 1996",
        "molecules",
        decimals=3,
    ),
    "qed": Metric(
        "Distance of drug-likeness",
        "the 1-Wasserstein distance between the distributions of QED; the means of both sides stand beside it.",
        "0 and up",
        "lower",
        "A generator that was rewarded for QED is to be far from the data. Equal distributions of one number say "
        "nothing of which molecules they come from.",
        "MOSES, section 3; QED: Bickerton et al. 2012",
        "molecules",
        decimals=4,
    ),
    "logp": Metric(
        "Distance of logP",
        "as `qed`, of the logarithm of the partition between octanol and water.",
        "0 and up",
        "lower",
        "As `qed`.",
        "MOSES, section 3; logP: Wildman & Crippen 1999",
        "molecules",
        decimals=3,
    ),
    "sa": Metric(
        "Distance of synthetic accessibility",
        "as `qed`, of the score of synthetic accessibility, 1 (easy) to 10.",
        "0 and up",
        "lower",
        "As `qed`. The score knows fragments and complexity, not how to make a molecule.",
        "MOSES, section 3; Ertl & Schuffenhauer 2009",
        "molecules",
        decimals=3,
    ),
    "weight": Metric(
        "Distance of molecular weight",
        "as `qed`, of the molecular weight.",
        "0 and up",
        "lower",
        "As `qed`.",
        "MOSES, section 3",
        "molecules",
        unit="g/mol",
        decimals=2,
    ),
    "reward": Metric(
        "Reward",
        "how much the samples have of what was asked for: the mean reward of all of them, where no molecule, and one "
        "that came before, is worth nothing. That of training molecules stands beside it.",
        "0 to 1",
        "higher",
        "It knows nothing of likeness: a generator that forgets the training molecules for the property has a high "
        "one. It falls with the number of samples where they repeat each other.",
        "this program's own; rewards as in De Cao & Kipf 2018 (MolGAN), arXiv 1805.11973, section 3.2",
        "reward",
        decimals=3,
    ),
    "clip_distance": Metric(
        "Frechet distance of clips",
        "how far generated clips are from real ones in what is seen and in how it changes, by mean and covariance of "
        "features that a network for pictures takes of the frames: `fvd`'s distance in a space that needs no download.",
        "0 (alike) and up, in squared units of the features: it does not compare with published FVD",
        "lower",
        "Few clips make it larger, so only equal numbers of clips and of frames compare. How things change is seen "
        "over 1 and 4 frames: what takes longer, such as a path that never turns, is not. Faults finer than the size "
        "that frames are brought to are not seen either, nor copies.",
        "Heusel et al. 2017, arXiv 1706.08500, eq. 6; for clips Unterthiner et al. 2018, arXiv 1812.01717; the "
        "features are this program's own",
        "clips",
    ),
    "fvd": Metric(
        "Frechet video distance",
        "the same in the features of I3D, a network that tells human actions apart: the FVD of the papers, if clips "
        "are of 16 frames, and as many as theirs (2,048).",
        "0 (alike) and up",
        "lower",
        "As `clip_distance`, with 400 features. It hardly notices artefacts that come and go, and looks at frames more "
        "than at motion (Ge et al. 2024). What kind of file clips were read from, and how they were resized, moves it.",
        "Unterthiner et al. 2018, arXiv 1812.01717; as Skorokhodov et al. 2022 (StyleGAN-V) compute it; on its limits "
        "Ge et al. 2024, arXiv 2404.12391",
        "i3d",
    ),
    "frame_fid": Metric(
        "Frechet distance of frames",
        "how far single frames of generated clips are from those of real ones: four of each clip, evenly in time. "
        "The interval is that of other clips, since frames of one clip are alike.",
        "0 (alike) and up, in squared units of the features",
        "lower",
        "It says nothing of motion. It looks at coarse features (of stride 16, at 64 pixels a side), so that it does "
        "not compare with FID.",
        "Heusel et al. 2017, eq. 6; of frames as in Skorokhodov et al. 2022 (StyleGAN-V), arXiv 2112.14683",
        "clips",
    ),
    "drift": Metric(
        "Change over a clip",
        "how far the frames of a clip get from its first one, in features, over how far those of real clips do: the "
        "mean over all frames; the protocol holds both sides frame by frame.",
        "0 (all stand still) and up; 1 is as real clips",
        "near 1",
        "Noise from frame to frame makes up for motion that is missing. Look at `motion` beside it.",
        "this program's own; content consistency as in Tulyakov et al. 2018 (MoCoGAN), arXiv 1707.04993, section 4.1",
        "clips",
        decimals=2,
    ),
    "colour_drift": Metric(
        "Change of colours over a clip",
        "the same by the mean and the deviation of each colour channel, which do not depend on where things are: a "
        "thing that changes its colour or size on its way counts, and its motion does not.",
        "0 (colours stay) and up; 1 is as real clips",
        "near 1",
        "Things that come into the picture change its colours, too. Two faults may make up for each other.",
        "this program's own, as `drift`",
        "clips",
        decimals=2,
    ),
    "motion": Metric(
        "Distance of speeds",
        "how far the distribution of speeds is from that of real clips: the 1-Wasserstein distance between their "
        "histograms of optical flow (Lucas-Kanade), in which places count by how well motion can be seen there. The "
        "mean speeds of both sides stand beside it.",
        "0 (as fast) and up, in pixels a frame",
        "lower",
        "Directions and paths play no part. Flow of what flickers or comes out of nothing is a guess. Both sides must "
        "have the same number of frames a second.",
        "this program's own; flow: Lucas & Kanade 1981, Bouguet 2001; histograms of flow as a measure of motion: Liu "
        "et al. 2024 (FVMD), arXiv 2407.16124",
        "clips",
        unit="px/frame",
        decimals=2,
    ),
    "decline": Metric(
        "Decline over a long clip",
        "how much farther from real clips frames 112 to 128 of a generated clip are than its first 16: the difference "
        "of `clip_distance` (or `fvd`), which stand beside it as `late` and `early`.",
        "about 0 (as good for as long); below 0 where clips get better",
        "lower",
        "Clips that are bad from the beginning do not decline. Real clips are judged by 16 frames, so that it does not "
        "see whether what happens in 128 is plausible, nor that a clip repeats itself.",
        "as Skorokhodov et al. 2022 (StyleGAN-V), arXiv 2112.14683, compare FVD of 16 and of 128 frames; the "
        "difference of windows is this program's own",
        "long clips",
    ),
    "raw_validity": Metric(
        "Valid graphs",
        "which share of a generator's graphs is a molecule as it is, each atom and each bond the likeliest one; before "
        "they are built so that no atom has too many bonds and all hang together, as samples are.",
        "0 to 1",
        "higher",
        "Chains of carbon are easy to get right. It is the number that compares with published ones of generators "
        "whose graphs are taken as they are.",
        "De Cao & Kipf 2018 (MolGAN), arXiv 1805.11973, section 5",
        "graphs",
        decimals=4,
    ),
}


def chosen(names: str | Iterable[str]) -> list[str]:
    """The names of metrics out of a list or a text with commas, each once, in the order given.

    Raises: MetricError for a name that is not there, with the nearest one.
    """
    split = names.split(",") if isinstance(names, str) else list(names)
    wanted = list(dict.fromkeys(name.strip().lower().replace("-", "_") for name in split if name.strip()))
    if not wanted:
        raise MetricError(f"no metric is named; there are {', '.join(METRICS)}")
    for name in wanted:
        if name not in METRICS:
            near = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(METRICS)}"
            raise MetricError(f"there is no metric {name!r}: {hint}")
    return wanted


def improves(name: str, value: float, best: float | None) -> bool:
    """Whether a value of a metric is better than the best so far."""
    if best is None:
        return True
    match METRICS[name].better:
        case "lower":
            return value < best
        case "higher":
            return value > best
        case "near 1":
            return abs(value - 1) < abs(best - 1)
        case "near expected":
            raise MetricError(f"{name} tells what is wrong with samples, not which are the best")
