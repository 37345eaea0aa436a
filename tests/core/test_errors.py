"""What pydantic finds is told in words of ours, and names keep their case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.core.errors import first_problem


class Circle(BaseModel):
    model_config = ConfigDict(extra="forbid")
    shape: Literal["circle"]
    color: Literal["Red", "Blue"] = "Red"
    radius: float = Field(default=1, gt=0)


class Square(BaseModel):
    shape: Literal["square"]


class Drawing(BaseModel):
    name: str
    shapes: list[Annotated[Circle | Square, Field(discriminator="shape")]]

    @model_validator(mode="after")
    def _is_named_well(self) -> Drawing:
        if self.name == "STS":
            raise ValueError("no drawing is called STS")
        return self


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"shapes": []}, ("name", "field required")),
        ({"name": "STS", "shapes": []}, ("", "no drawing is called STS")),
        ({"shape": "oval"}, ("shapes.0", "unknown shape 'oval'; choose 'circle', 'square'")),
        ({}, ("shapes.0", "lacks 'shape'")),
        ({"shape": "circle", "x": 1}, ("shapes.0.circle.x", "unknown; correct or remove it")),
        (
            {"shape": "circle", "color": "red"},
            ("shapes.0.circle.color", "input should be 'Red' or 'Blue'"),
        ),
        (
            {"shape": "circle", "radius": 0},
            ("shapes.0.circle.radius", "input should be greater than 0"),
        ),
    ],
)
def test_the_first_problem(content: Mapping[str, Any], expected: tuple[str, str]) -> None:
    drawing = content if "shapes" in content else {"name": "d", "shapes": [content]}
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(drawing)
    assert first_problem(caught.value) == expected
