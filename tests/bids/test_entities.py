from __future__ import annotations

from legseg_bids.bids.entities import entity_order, load_entities


def test_keys_and_names_are_unique() -> None:
    entities = load_entities()
    names = [entity.name for entity in entities.values()]
    assert all(key == entity.key for key, entity in entities.items())
    assert len(set(names)) == len(names)


def test_entities_that_are_not_bids_come_in_no_output() -> None:
    strangers = [entity for entity in load_entities().values() if not entity.standard]
    assert {entity.key for entity in strangers} == {"stk", "vol", "rep", "sequ"}
    assert not any(entity.output for entity in strangers)


def test_the_order_agrees_with_the_schema() -> None:
    from bidsschematools.schema import load_schema

    schema = load_schema()
    official = [schema.objects.entities[name].name for name in schema.rules.entities]
    ours = [key for key in entity_order() if key in official]
    assert ours == [key for key in official if key in ours]
    allowed = schema.rules.files.deriv.imaging.anat_discrete_segmentation.entities
    names = {schema.objects.entities[name].name for name in allowed}
    assert {e.key for e in load_entities().values() if e.output} <= names
