"""The live panel: it draws at once, draws again when a control moves, and answers a wrong choice with words."""

import matplotlib.pyplot as plt

from lib.chapter import display as notebook


def test_a_panel_redraws_and_reports():
    seen, before = [], plt.get_fignums()

    def draw(name, size):
        if size == 7:
            raise ValueError("size=7 is not allowed")
        seen.append((name, size))
        fig, _ = plt.subplots(figsize=(1, 1))
        return fig

    name, size, message, image = notebook.panel(draw, name=["a", "b"], size=(1, 9, 3)).children
    assert seen == [("a", 3)]
    first = bytes(image.value)
    assert first.startswith(b"\x89PNG")
    name.value, size.value = "b", 5
    assert seen[-1] == ("b", 5)
    size.value = 7
    assert message.value == "size=7 is not allowed"
    size.value = 8
    assert message.value == ""
    assert plt.get_fignums() == before
