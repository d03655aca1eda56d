"""The four kinds of head: what each may look at, what it repeats, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clicooper.errors import DataError, PrivacyClaimError, SpecError
from clicooper.learning.bottom_model import (
    CENTER,
    SCALE,
    HeadSpec,
    load_head,
    make_head_from_state,
    make_random_head,
    train_head,
)
from clicooper.learning.bottom_model_kinds import make_head, make_head_claim, name_head_kind
from clicooper.learning.checkpoint import save_state
from clicooper.learning.data import Dataset, Splits
from clicooper.learning.dp_head import digest_training, train_dp_head
from clicooper.learning.released import label_records
from clicooper.privacy.accounting import REPLACE_ONE
from clicooper.privacy.composition import SampledGaussian
from clicooper.privacy.labels import expand_labels
from clicooper.privacy.ledger import HeadSpending
from clicooper.privacy.randomness import MasterSecret, bind
from clicooper.privacy.release import ReleaseParams, make_release
from tests.learning_jobs import diff_states

SECRET, DATA = MasterSecret.from_seed(1), bind("data")
SPEC = HeadSpec("dp-sgd", dims=6, hidden=())
WEAK = SampledGaussian(1.0, 2, 40)


def blobs(records=240, seed=0):
    """Three classes of 1 x 2 x 4 images."""
    rng = np.random.default_rng(seed)
    labels = np.arange(records) % 3
    centres = np.random.default_rng(7).random((3, 1, 2, 4))
    inputs = np.clip(centres[labels] + rng.normal(0, 0.1, (records, 1, 2, 4)), 0, 1)
    return Dataset("blobs", inputs.astype(np.float32), labels, 3)


def trained(data=None, spec=SPEC, mechanism=WEAK, secret=SECRET, digest=DATA):
    data = data or blobs()
    return train_dp_head(data.inputs, data.labels, data.classes, spec, mechanism, secret, digest)


def test_a_private_head_separates_classes_under_mild_noise():
    head, fresh = trained(), blobs(90, seed=5)
    means = np.stack([head.features(blobs().inputs)[blobs().labels == label].mean(axis=0) for label in range(3)])
    nearest = (head.features(fresh.inputs) @ means.T).argmax(axis=1)
    assert (nearest == fresh.labels).mean() > 0.95


def test_a_private_head_is_a_function_of_master_data_and_settings():
    first = trained().state()
    assert diff_states(first, trained().state()) == ()
    others = [
        trained(secret=MasterSecret.from_seed(2)),
        trained(digest=bind("other data")),
        trained(mechanism=SampledGaussian(1.001, 2, 40)),
        trained(spec=replace(SPEC, seed=1)),
    ]
    assert all(diff_states(first, other.state()) for other in others)


def test_trainings_that_differ_in_anything_have_different_names():
    """Their draws are bound to this name, so no two of them share a noise."""
    names = {
        digest_training(data, classes, spec, mechanism)
        for data, classes, spec, mechanism in (
            (DATA, 3, SPEC, WEAK),
            (bind("other"), 3, SPEC, WEAK),
            (DATA, 4, SPEC, WEAK),
            (DATA, 3, replace(SPEC, dims=7), WEAK),
            (DATA, 3, replace(SPEC, seed=1), WEAK),
            (DATA, 3, SPEC, SampledGaussian(1.1, 2, 40)),
            (DATA, 3, SPEC, SampledGaussian(1.0, 4, 40)),
            (DATA, 3, SPEC, SampledGaussian(1.0, 2, 42)),
        )
    }
    assert len(names) == 8


@pytest.mark.parametrize("classes", [3, 9])
def test_prototypes_fit_more_and_fewer_features_than_classes(classes):
    rng = np.random.default_rng(0)
    inputs, labels = rng.random((90, 5)), np.arange(90) % classes
    head = train_dp_head(inputs, labels, classes, SPEC, WEAK, SECRET, DATA)
    assert np.allclose(np.linalg.norm(head.features(inputs), axis=1), 1)
    wide = train_dp_head(inputs, labels, classes, replace(SPEC, dims=40), WEAK, SECRET, DATA)
    # Twice as many directions as classes are trained, and the rest of the features are a rotation of them.
    assert np.linalg.matrix_rank(wide.state()["layer0.weight"].astype(np.float64), tol=1e-4) <= min(5, 2 * classes)
    assert wide.features(inputs).shape == (90, 40)


@pytest.mark.parametrize(
    "make", [lambda spec: make_random_head(replace(spec, kind="random"), (1, 2, 4)), lambda _: trained()]
)
def test_standardisation_looks_at_no_record(make):
    state = make(SPEC).state()
    assert (float(state["input.center"]), float(state["input.scale"])) == (CENTER, SCALE)


def test_private_head_of_wrong_kind_or_labels_is_refused():
    with pytest.raises(SpecError, match="not trained by DP-SGD"):
        trained(spec=replace(SPEC, kind="disjoint"))
    data = blobs()
    for labels, classes in ((data.labels[:-1], 3), (data.labels, 2), (data.labels - 1, 3), (data.labels, 1)):
        with pytest.raises(DataError, match="labels of"):
            train_dp_head(data.inputs, labels, classes, SPEC, WEAK, SECRET, DATA)


@pytest.fixture
def file(tmp_path):
    data = blobs(seed=9)
    head = train_head(data.inputs, data.labels, 3, HeadSpec(hidden=(5, 7), dims=6, epochs=2))
    save_state(head.state(), tmp_path / "public.safetensors")
    return tmp_path / "public.safetensors"


def test_a_head_from_a_file_is_the_one_that_was_written(file):
    spec = HeadSpec("file", dims=6)
    head = load_head(file, (1, 2, 4), spec)
    assert head.spec.hidden == (5, 7)
    assert np.array_equal(head.features(blobs().inputs), load_head(file, (1, 2, 4), spec).features(blobs().inputs))


def test_layers_are_read_in_the_order_of_their_numbers():
    deep = make_random_head(HeadSpec("random", hidden=(4,) * 11, dims=6), (8,))
    assert make_head_from_state(deep.state(), (8,), HeadSpec("file", dims=6)).spec.hidden == (4,) * 11


@pytest.mark.parametrize(("shape", "dims"), [((1, 4, 4), 6), ((1, 2, 4), 16)])
def test_a_head_for_other_records_or_activations_is_refused(file, shape, dims):
    with pytest.raises(SpecError, match=r"public.safetensors.*8 numbers to 6 features"):
        load_head(file, shape, HeadSpec("file", dims=dims))


def test_a_file_that_is_no_head_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(SpecError, match="cannot read the head"):
        load_head(path, (8,), HeadSpec("file", dims=6))
    path.write_bytes(b"not a state")
    with pytest.raises(SpecError, match=r"x.safetensors|readable"):
        load_head(path, (8,), HeadSpec("file", dims=6))
    save_state({"other": np.zeros(3)}, path)
    with pytest.raises(SpecError, match="no layers"):
        load_head(path, (8,), HeadSpec("file", dims=6))


def test_kinds_are_words_and_everything_else_is_a_file():
    assert [name_head_kind(word) for word in ("disjoint", "random", "dp-sgd")] == ["disjoint", "random", "dp-sgd"]
    assert name_head_kind("a/public.safetensors") == "file"


def test_a_private_head_has_half_of_epsilon_unless_it_is_given_less_than_all():
    assert make_head_claim("dp-sgd", 4.0, 1e-5).division == make_head_claim("dp-sgd", 4.0, 1e-5, 2.0).division
    assert make_head_claim("dp-sgd", 4.0, 1e-5, 1.0).division.head_epsilon == 1.0
    with pytest.raises(PrivacyClaimError, match="4 of 4 in total"):
        make_head_claim("dp-sgd", 4.0, 1e-5, 4.0)


@pytest.mark.parametrize("head", ["disjoint", "random", "public.safetensors"])
def test_epsilon_of_a_head_that_spends_none_is_refused(head):
    """A misspelt kind of head must not pass for a private one."""
    with pytest.raises(PrivacyClaimError, match="spends nothing"):
        make_head_claim(head, 4.0, 1e-5, 1.0)


def test_training_is_reserved_before_anything_is_drawn():
    """A reservation that is refused leaves no draw behind."""
    data, drawn = blobs(), []

    class Watched(MasterSecret):
        def derive(self, purpose, context):
            drawn.append(purpose)
            return super().derive(purpose, context)

    def refuse(spending: HeadSpending) -> None:
        assert spending.epsilon == 2.0
        raise PrivacyClaimError("no", hint="no")

    every = np.arange(len(data))
    splits = Splits(every[:0], every, every[:0], every[:0])
    labels = label_records(data, every, MasterSecret.from_seed(1), None)
    claim = make_head_claim("dp-sgd", 4.0, 1e-5, 2.0)
    secret = Watched(bytes(32), secure=False)
    with pytest.raises(PrivacyClaimError, match="no"):
        make_head(SPEC, data, splits, labels, claim, file=Path("none"), secret=secret, reserve=refuse)
    assert drawn == []
    with pytest.raises(PrivacyClaimError, match="without a part of epsilon"):
        nothing = make_head_claim("random", 4.0, 1e-5)
        make_head(SPEC, data, splits, labels, nothing, file=Path("none"), secret=secret, reserve=refuse)


def test_a_private_head_sees_released_labels_alone():
    """Two sets of true labels with one response give one head; only the ledger's name for the data differs."""
    data, every = blobs(), np.arange(240)
    splits = Splits(every[:0], every, every[:0], every[:0])
    labels = label_records(data, every, SECRET, 2.0)
    assert (labels.labels != data.labels).any()
    claim, spent = make_head_claim("dp-sgd", 4.0, 1e-5, 2.0), []
    heads = [
        make_head(SPEC, data, splits, known, claim, file=Path("none"), secret=SECRET, reserve=spent.append)
        for known in (labels, replace(labels, source=bind("other true labels")))
    ]
    assert diff_states(*(head.state() for head in heads)) == ()
    assert spent[0].content == spent[1].content
    assert spent[0].dataset != spent[1].dataset


def statement(head):
    labels = np.repeat(np.arange(2), 50)
    label_map = expand_labels(labels, 2, secret=SECRET, context=DATA, gamma=5)
    claim = make_head_claim(head, 4.0, 1e-5)
    own = claim.division
    params = ReleaseParams(own.epsilon, own.delta, 1.0) if own else ReleaseParams(4.0, 1e-5, 1.0)
    return make_release(np.ones((100, 3)), label_map, params, SECRET, DATA, claim).statement


def test_statement_of_a_private_head_states_the_whole_and_both_parts():
    made, plain = statement("dp-sgd"), statement("disjoint")
    assert (made.epsilon, made.delta) == (plain.epsilon, plain.delta) == (4.0, 1e-5)
    assert made.sigma > plain.sigma
    assert (made.head_epsilon, plain.head_epsilon, plain.release_epsilon) == (2.0, None, None)
    assert 2.0 < made.release_epsilon < 4.0
    assert "the head spends (2, 5e-06)" in made.text() and "one curve, for a replaced record" in made.text()
    assert "and the head are fixed" not in made.text()
    assert made.adjacency == plain.adjacency == f"{REPLACE_ONE}: its input"
    assert not any("trained the head" in item for item in made.excludes)


@pytest.mark.parametrize(
    ("head", "excluded", "void"),
    [
        ("disjoint", "records that trained the head", "if the head was fitted to the released records"),
        ("public.safetensors", "which its owner vouches are none of these", "which its owner vouches it was not"),
        ("random", None, "secret leaks."),
        ("dp-sgd", None, "secret leaks."),
    ],
)
def test_statement_says_of_each_head_what_it_stands_on(head, excluded, void):
    made = statement(head)
    said = "".join(item for item in made.excludes if "trained the head" in item)
    assert excluded in said if excluded else not said
    assert void in made.text().splitlines()[-1]
    assert made.head == name_head_kind(head)
    # Whatever the head, what no head changes stays excluded.
    assert {"accept bits", "held-out records", "published accuracy"} <= set(made.excludes)


def test_other_heads_change_no_byte_of_a_release():
    labels = np.repeat(np.arange(2), 50)
    label_map = expand_labels(labels, 2, secret=SECRET, context=DATA, gamma=5)
    given = np.ones((100, 3)), label_map, ReleaseParams(4.0, 1e-5, 1.0), SECRET, DATA
    plain = make_release(*given)
    for head in ("random", "public.safetensors"):
        assert np.array_equal(make_release(*given, make_head_claim(head, 4.0, 1e-5)).activations, plain.activations)


def test_delta_of_the_whole_must_be_below_one_in_n():
    """Half of delta would pass for 100 records; all of it does not."""
    labels = np.repeat(np.arange(2), 50)
    label_map = expand_labels(labels, 2, secret=SECRET, context=DATA, gamma=5)
    claim = make_head_claim("dp-sgd", 4.0, 0.015, 2.0)
    params = ReleaseParams(claim.division.epsilon, claim.division.delta, 1.0)
    with pytest.raises(PrivacyClaimError, match="not below 1/n"):
        make_release(np.ones((100, 3)), label_map, params, SECRET, DATA, claim)
