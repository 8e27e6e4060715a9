from __future__ import annotations

from pathlib import Path

import pytest

from photochrom import ConfigError
from photochrom.reproduce.recipe import RECIPES, load_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_the_bundled_recipes_hold_the_three_methods_and_two_seeds(name: str) -> None:
    recipe = load_recipe(name)
    assert set(recipe.objectives) == {"full", "classification", "regression"}
    assert len(set(recipe.seeds)) == 2
    configs = [recipe.config(o, s) for o in recipe.objectives for s in recipe.seeds]
    assert len({(c.objective, c.seed) for c in configs}) == 6
    alike = {str(c.to_dict() | {"objective": "", "seed": 0}) for c in configs}
    assert len(alike) == 1, "all else is equal"


def test_the_papers_recipe_is_the_papers() -> None:
    train = load_recipe("paper").train
    assert (train.arch, train.kmeans, train.schedule) == ("eccv16", True, "drops")
    assert (train.steps, train.batch, train.lr) == (450_000, 40, 3e-5)
    assert (train.neighbors, train.sigma, train.rebalance) == (10, 5, 0.5)


def test_a_share_of_the_steps_is_a_rehearsal() -> None:
    recipe = load_recipe("small")
    short = recipe.config("full", 1, share=0.01)
    assert short.steps == recipe.train.steps // 100
    assert 1 <= short.warmup <= short.steps
    assert recipe.config("full", 1, share=1e-9).steps == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trian]\nsteps = 1", "did you mean 'train'"),
        ("[train]\nstep = 1", "did you mean 'steps'"),
        ("[train]\nsteps = 1\nseed = 2", "must not have seed"),
        ("[train]\nsteps = 1\n[runs]\nobjectives = ['best']", "objective 'best'"),
        ("[train]\nsteps = 1\n[photos]\nvalidation_every = 1", "2 or more"),
        ("[train]\nsteps = 'x'", "steps"),
        ("[train", "is not a recipe"),
    ],
)
def test_a_wrong_recipe_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_recipe(str(path))
    with pytest.raises(ConfigError, match="one of small, paper"):
        load_recipe("smal")
