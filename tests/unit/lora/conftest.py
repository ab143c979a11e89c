import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.lora_scene import Scene


@pytest.fixture
async def scenes(tmp_path: Path) -> Any:
    made: list[Scene] = []

    def make(text: str = "lora = {}", **about: Any) -> Scene:
        made.append(Scene(tmp_path, text.replace("FOLDER", str(tmp_path)), **about))
        return made[-1]

    yield make
    for scene in made:
        for task in scene.tasks:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
