"""The workspace's new bundle against the champion, in a few lines."""

from commentwise.errors import CommentwiseError
from commentwise.training.compare.difference import compare, sentences
from commentwise.training.compare.sides import WORKSPACE, opened
from commentwise.training.project import Project
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import CHAMPION, champion
from commentwise.training.settings import load_settings


def against_champion(project: Project) -> None:
    """Print how the workspace's bundle differs from the champion; nothing if there is no champion."""
    if champion(connect(project), load_settings(project.params).publish.model) is None:
        return
    print(f"\nagainst the champion (more: `commentwise compare {CHAMPION}`):")
    try:
        with opened(project, CHAMPION) as before, opened(project, WORKSPACE) as after:
            comparison = compare(project, before, after)
    except CommentwiseError as error:  # the training itself is done
        print(f"  not compared: {error}")
        return
    for line in [*sentences(comparison), *(f"note: {note}" for note in comparison.notes)]:
        print(f"  {line}")
