"""A cartoon face, with who it is and everything that can be changed about it."""

import math

import numpy as np

from tfgen.data.drawing import Canvas, box, circle, column, ellipse, segment, triangle

IDENTITIES = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal")
SKIN = np.array([(250, 214, 190), (228, 178, 138), (176, 120, 82), (112, 74, 52)], np.float32)
HAIR = ("bald", "short", "long", "curly", "spiky")
HAIR_COLORS = {"black": (36, 30, 32), "brown": (110, 66, 36), "blond": (232, 192, 92), "red": (190, 78, 34)}
GREY = np.array((206, 206, 210), np.float32)
GROUND = (150, 190, 214)

CLASSES = {
    "hair": HAIR,
    "hair_color": tuple(HAIR_COLORS),
    "smile": ("no", "yes"),
    "glasses": ("no", "yes"),
    "age": ("young", "middle", "old"),
    "yaw": ("left", "front", "right"),
    "identity": IDENTITIES,
}
"""Names of the values of each factor that has classes; `label` is the hair."""

NUMBERS = {"years": (), "degrees": ()}
"""Shapes of the float32 factors: age in years, yaw in degrees, positive towards the right of the picture."""

YEARS = ((5, 17), (34, 50), (64, 84))
DEGREES = ((-40, -24), (-6, 6), (24, 40))
FACTORS = len(CLASSES) + len(NUMBERS)


def factors(uniform: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Maps uniform draws `(count, FACTORS)` in [0, 1) to factors, arrays of `count` entries."""
    del size
    found = {key: (uniform[:, i] * len(names)).astype(np.int32) for i, (key, names) in enumerate(CLASSES.items())}
    for key, group, ranges, u in (("years", "age", YEARS, uniform[:, -2]), ("degrees", "yaw", DEGREES, uniform[:, -1])):
        low, high = np.array(ranges, np.float32)[found[group]].T
        found[key] = (low + (high - low) * u).astype(np.float32)
    return found


def draw(found: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Draws pictures of these factors, uint8 `(count, height, width, 3)`."""
    canvas = Canvas(len(found["hair"]), size, GROUND, origin=(0.52, 0.5))
    _Face(canvas, found).paint()
    return canvas.pictures()


class _Face:
    """Paints the parts of the faces of a canvas, from back to front.

    Angles around the vertical axis of the head become places by `across`; whoever turns shows less of one side.
    """

    def __init__(self, canvas: Canvas, found: dict[str, np.ndarray]):
        identity, years = found["identity"], found["years"]
        grey = np.clip((years - 45) / 22, 0, 1)[:, None]
        self.canvas, self.found = canvas, found
        self.skin = SKIN[identity % len(SKIN)]
        self.shade = 0.72 * self.skin
        self.hair = np.array(list(HAIR_COLORS.values()), np.float32)[found["hair_color"]] * (1 - grey) + GREY * grey
        self.wrinkles = column(np.clip((years - 30) / 30, 0, 1))
        self.child = column(np.clip((34 - years) / 20, 0, 1))
        self.width = column(np.where(identity < len(SKIN), 0.215, 0.265))
        self.height = 0.31 - 0.03 * self.child
        self.turn = column(np.radians(found["degrees"]))

    def across(self, angle: float) -> np.ndarray:
        """Returns x of a point of the face that is at this angle, in radians, when seen from the front."""
        return self.width * np.sin(self.turn + angle)

    def narrowed(self, angle: float) -> np.ndarray:
        """Returns how much is seen of the width of something at this angle."""
        return np.maximum(np.cos(self.turn + angle), 0.15)

    def paint(self) -> None:
        behind, before = self.hair_figures()
        self.canvas.paint(behind, self.hair)
        self.body()
        self.ears(far=True)
        self.canvas.paint(ellipse(self.canvas.x, self.canvas.y, self.width, self.height), self.skin)
        self.ears(far=False)
        self.cheeks()
        self.eyes()
        self.mouth()
        self.nose()
        self.canvas.paint(before, self.hair)
        self.brows()
        self.spectacles()

    def line(self, left: float, right: float, top: float, bottom: float, thickness: float, color, opacity=1.0) -> None:
        """Paints a line over the face from one angle and height to another."""
        part = self.canvas.between(min(top, bottom) - thickness, max(top, bottom) + thickness)
        start, end = (self.across(left), top), (self.across(right), bottom)
        part.paint(segment(part.x, part.y, start, end, thickness), color, opacity)

    def body(self) -> None:
        part = self.canvas.between(0.2, 1.0)
        part.paint(ellipse(part.x, part.y - 0.52, 0.36, 0.17), (70, 84, 110))
        part.paint(box(part.x, part.y - 0.3, 0.085, 0.1), self.shade)

    def ears(self, far: bool) -> None:
        part = self.canvas.between(-0.065, 0.065)
        for angle in (-1.57, 1.57):
            seen = 1.0 if far else np.clip(3 * np.cos(self.turn + angle), 0, 1)
            x = part.x - self.across(angle)
            part.paint(ellipse(x, part.y, 0.042, 0.065), 0.93 * self.skin, seen)
            part.paint(ellipse(x, part.y, 0.02, 0.035), self.shade, seen)

    def cheeks(self) -> None:
        part = self.canvas.between(0.06, 0.15)
        for side in (-1, 1):
            blush = ellipse(part.x - self.across(0.75 * side), part.y - 0.105, 0.05, 0.035)
            head = ellipse(part.x, part.y, self.width, self.height)
            part.paint(np.maximum(blush, head), (240, 110, 100), 0.45 * self.child)
            self.line(0.5 * side, 0.66 * side, 0.07, 0.17, 0.006, self.shade, self.wrinkles)
            self.line(0.25 * side, 0.6 * side, 0.05, 0.055, 0.005, self.shade, self.wrinkles)
        for height in (-0.17, -0.135):
            self.line(-0.45, 0.45, height, height, 0.004, self.shade, self.wrinkles)

    def eyes(self) -> None:
        part = self.canvas.between(-0.08, 0.05)
        size = 1 + 0.35 * self.child
        for angle in (-0.45, 0.45):
            x, y = part.x - self.across(angle), part.y + 0.02
            half = 0.055 * size * self.narrowed(angle)
            white = ellipse(x, y, half, 0.04 * size)
            part.paint(white, (252, 252, 252))
            part.paint(np.maximum(white, circle(x - 0.4 * half * np.sin(self.turn), y, 0.028 * size)), (44, 34, 34))

    def brows(self) -> None:
        for side in (-1, 1):
            self.line(0.22 * side, 0.7 * side, -0.1, -0.095, 0.011, 0.8 * self.hair)

    def nose(self) -> None:
        part = self.canvas.between(0.04, 0.11)
        part.paint(ellipse(part.x - 1.18 * self.across(0.0), part.y - 0.075, 0.03, 0.026), self.shade)

    def mouth(self) -> None:
        smile = column(self.found["smile"])
        self.line(-0.34, 0.34, 0.175, 0.175, 0.012, (186, 64, 70), 1 - smile)
        part = self.canvas.between(0.13, 0.24)
        x, y = (part.x - self.across(0.0)) / self.narrowed(0.0), part.y - 0.135
        laugh = np.maximum(ellipse(x, y, 0.115, 0.095), -y)
        part.paint(laugh, (140, 36, 46), smile)
        part.paint(np.maximum(laugh, y - 0.032), (252, 252, 252), smile)

    def spectacles(self) -> None:
        part = self.canvas.between(-0.11, 0.08)
        worn = column(self.found["glasses"])
        frame = (24, 24, 32)
        for side in (-1, 1):
            angle = 0.47 * side
            rim = ellipse(part.x - self.across(angle), part.y + 0.015, 0.088 * self.narrowed(angle), 0.075)
            part.paint(rim, (190, 225, 245), 0.25 * worn)
            part.paint(np.abs(rim) - 0.009, frame, worn)
            near = np.clip(4 * np.cos(self.turn + 1.25 * side), 0, 1)
            self.line(0.9 * side, 1.5 * side, -0.02, -0.01, 0.008, frame, worn * near)
        self.line(-0.1, 0.1, -0.025, -0.025, 0.008, frame, worn)

    def hair_figures(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns distances to the hair behind the heads and to the hair in front of them."""
        shape = np.broadcast_shapes(self.canvas.x.shape, self.canvas.y.shape, self.width.shape)
        behind, before = np.ones(shape, np.float32), np.ones(shape, np.float32)
        for style, figures in ((1, _short), (2, _long), (3, _curly), (4, _spiky)):
            rows = np.flatnonzero(self.found["hair"] == style)
            front = self.across(0.0)[rows]
            behind[rows], before[rows] = figures(self.canvas, self.width[rows], self.height[rows], front)
        return behind, before


def _short(canvas: Canvas, w: np.ndarray, h: np.ndarray, front: np.ndarray) -> tuple:
    scalp = ellipse(canvas.x, canvas.y + 0.015, w + 0.025, h + 0.03)
    return 1.0, np.maximum(scalp, _fringe(canvas, w, front))


def _long(canvas: Canvas, w: np.ndarray, h: np.ndarray, front: np.ndarray) -> tuple:
    top = ellipse(canvas.x, canvas.y + 0.03, w + 0.055, h + 0.04)
    return np.minimum(top, box(canvas.x, canvas.y - 0.14, w + 0.05, 0.2)), _short(canvas, w, h, front)[1]


def _curly(canvas: Canvas, w: np.ndarray, h: np.ndarray, front: np.ndarray) -> tuple:
    curls = 1.0
    for i in range(9):
        angle = 1.9 * (i / 4 - 1)
        x = canvas.x - (w + 0.035) * math.sin(angle)
        curls = np.minimum(curls, circle(x, canvas.y + 0.07 + (h - 0.06) * math.cos(angle), 0.09))
    return curls, np.maximum(curls, _fringe(canvas, w, front))


def _spiky(canvas: Canvas, w: np.ndarray, h: np.ndarray, front: np.ndarray) -> tuple:
    hair = _short(canvas, w, h, front)[1]
    for i in range(7):
        angle = 1.15 * (i / 3 - 1)
        x, y = canvas.x - w * math.sin(angle), canvas.y + 0.04 + (h - 0.03) * math.cos(angle)
        aside, inward = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        hair = np.minimum(hair, triangle(aside, inward, 0.06, 0.12))
    return 1.0, hair


def _fringe(canvas: Canvas, w: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Returns the distance to what is above the line where the hair ends on the forehead."""
    return canvas.y + 0.17 - 0.9 * (canvas.x - 0.7 * front) ** 2 / w
