"""Number formats of the report."""


def number(value: float) -> str:
    """Three significant digits with thousands separators: 12,300, 454, 45.4, 4.54, 0.045."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def times(ratio: float) -> str:
    """A ratio: 2.1×."""
    return f"{ratio:,.0f}×" if ratio >= 20 else f"{ratio:.1f}×" if ratio >= 2 else f"{ratio:.2f}×"


def percent(share: float) -> str:
    """A share in percent, with a decimal between 90% and 100%."""
    return f"{share:.0%}" if share <= 0.9 or share >= 1 else f"{share:.1%}"


def points(share: float) -> str:
    """A difference of two scores in points, with a minus sign."""
    return f"{100 * share:.2f}".replace("-", "−")


def gain(loss: float) -> str:
    """A loss of score as a change in points: +0.20 for a loss of -0.002."""
    return f"{-100 * loss:+.2f}".replace("-", "−")


def megabytes(size: float) -> str:
    """A size in bytes as megabytes."""
    return f"{number(size / 1e6)} MB"


def milliseconds(value: float) -> str:
    """A time in milliseconds, written in seconds from one second on."""
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def seconds(value: float) -> str:
    """A time in seconds, written in minutes from two minutes on."""
    return f"{value / 60:.0f} min" if value >= 120 else f"{number(value)} s"


def spread(low: float, high: float) -> str:
    """A range."""
    return f"{number(low)} to {number(high)}"
