"""Whole jobs under each kind of head: trained, paid, audited in full, and opened again by a later process."""

import pytest

from clicooper.audit.checks.release import check_release
from clicooper.commitments.manifest import ActivationRelease
from clicooper.errors import PrivacyBudgetError, UsageError
from clicooper.learning import bottom_model_kinds as heads
from clicooper.learning.bottom_model import HeadSpec, train_head
from clicooper.learning.checkpoint import save_state
from clicooper.learning.data import load_dataset
from clicooper.privacy.ledger import Ledger
from clicooper.protocol.evaluation import final_states, measure_accuracy
from clicooper.protocol.owner_folder import read_settings
from clicooper.protocol.preparation.job_inputs import claim_head, load_records, make_inputs
from clicooper.protocol.preparation.prepare import HEAD_NAME, restore_job
from clicooper.types import Verdict
from tests.learning_jobs import diff_states
from tests.scenario import audit_command, checks, finished_run, rehearsal, tiny_config

KINDS = {
    "random": {"head": "random", "head_records": 0, "epsilon": 20.0, "steps": 20, "interval": 10},
    "dp-sgd": {"head": "dp-sgd", "head_records": 0, "epsilon": 8.0},
    "dp-sgd and privunit": {"head": "dp-sgd", "head_records": 0, "epsilon": 16.0, "mechanism": "privunit", "group": 1},
    "file": {"head_records": 0, "epsilon": 8.0},
    "dp-sgd and labels": {"head": "dp-sgd", "head_records": 0, "epsilon": 8.0, "label_epsilon": 6.0},
}


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    """A finished job; the public head's records are stand-ins, digits under another split."""
    folder = tmp_path_factory.mktemp("heads")
    changes = dict(KINDS[request.param])
    if request.param == "file":
        digits = load_dataset("digits")
        head = train_head(digits.inputs[:400], digits.labels[:400], 10, HeadSpec(epochs=20))
        save_state(head.state(), folder / "public.safetensors")
        changes["head"] = str(folder / "public.safetensors")
    return finished_run(folder / "run", tiny_config(**changes))


def prepared_of(run):
    return run.rehearsal.opened.owner.prepared


def test_audit_passes_with_every_interval_replayed(run):
    code, printed = audit_command(run.root)
    assert code == 0, printed
    assert checks(printed, "fail") == set()
    assert {"replay", "release", "embed"} <= checks(printed, "pass")


def test_statement_and_spec_say_the_same_total(run):
    prepared = prepared_of(run)
    statement, claim = prepared.release.statement, prepared.spec.release
    assert (claim.epsilon, claim.delta) == (statement.epsilon, statement.delta) == (prepared.config.epsilon, 1e-5)
    assert claim.adjacency == statement.adjacency
    assert claim.sigma == prepared.release.sigma
    assert claim.head_epsilon == (prepared.config.epsilon / 2 if prepared.config.head == "dp-sgd" else None)
    assert statement.head == ("file" if prepared.config.head.endswith(".safetensors") else prepared.config.head)


def test_ledger_knows_what_was_spent(run):
    config, owner = prepared_of(run).config, run.rehearsal.folder.owner
    budget = config.epsilon + (config.label_epsilon or 0.0)
    ledger = Ledger.open(owner / "ledger.json", budget, config.delta)
    assert len(ledger.heads()) == (config.head == "dp-sgd")
    # Parts by pure epsilon add up; the head's was reckoned at half of the delta at which the ledger states it.
    assert 0.95 * budget < ledger.spent_epsilon() <= budget * (1 + 1e-9)


def test_controls_are_measured_without_records_of_the_head(run):
    owner = run.rehearsal.opened.owner
    prepared = owner.prepared
    assert prepared.inputs.splits.head.size == 0
    accuracy = measure_accuracy(prepared, final_states(owner.artifacts()))
    assert accuracy.head_only > accuracy.chance
    assert accuracy.release_only > accuracy.chance


@pytest.mark.parametrize("kept", [True, False], ids=["head kept", "head made again"])
def test_a_later_process_has_the_same_head_and_release(run, kept, monkeypatch):
    """With the head's file and without it; nothing is spent or divided anew, and a public head's file may be gone."""
    monkeypatch.setattr(heads, "divide", lambda *_: pytest.fail("what was settled is divided again"))
    folder, before = run.rehearsal.folder, prepared_of(run)
    file, ledger = folder.owner / HEAD_NAME, folder.owner / "ledger.json"
    config, state, entries = read_settings(folder), file.read_bytes(), ledger.read_bytes()
    if kept and before.release.statement.head == "file":
        config = config.model_copy(update={"head": "gone.safetensors"})
    if not kept:
        file.unlink()
    try:
        again = restore_job(config, before.secrets.master, before.secrets.identity, before.spec, before.params, folder)
    finally:
        file.write_bytes(state)
    assert diff_states(before.inputs.head.state(), again.inputs.head.state()) == ()
    assert again.release.activations.tobytes() == before.release.activations.tobytes()
    assert again.release.statement == before.release.statement
    assert ledger.read_bytes() == entries


def test_another_head_in_the_owners_folder_is_noticed(run):
    folder, before = run.rehearsal.folder, prepared_of(run)
    file = folder.owner / HEAD_NAME
    state = file.read_bytes()
    other = train_head(before.inputs.dataset.inputs[:50], before.inputs.dataset.labels[:50], 10, HeadSpec(epochs=1))
    save_state(other.state(), file)
    try:
        with pytest.raises(UsageError, match="not those of the release"):
            restore_job(
                read_settings(folder),
                before.secrets.master,
                before.secrets.identity,
                before.spec,
                before.params,
                folder,
            )
    finally:
        file.write_bytes(state)


def test_owner_that_claims_a_smaller_total_than_its_noise_allows_fails_the_audit(tmp_path):
    """Spec and release say epsilon 3 in unison; the noise is that of what a head of 4 leaves of 8."""
    with rehearsal(tmp_path / "run", tiny_config(**KINDS["dp-sgd"])) as job:
        spec, store = job.opened.owner.prepared.spec, job.store
        assert [row.verdict for row in check_release(job.opened.owner.artifacts())] == [Verdict.PASS]
        for change, reason in (
            ({"epsilon": 3.0, "head_epsilon": 1.0}, "sigma"),
            ({"head_epsilon": 8.0}, "head's part"),
        ):
            claim = spec.release.model_copy(update=change)
            release = ActivationRelease.from_block(store.get_block(spec.activation_release))
            link = store.put_block(release.model_copy(update={"release": claim}).to_block())
            evidence = job.opened.owner.artifacts()
            # A cached property: what the evidence would read from a store under another digest on chain.
            vars(evidence)["spec"] = spec.model_copy(update={"release": claim, "activation_release": link})
            (row,) = check_release(evidence)
            assert row.verdict is Verdict.FAIL
            assert reason in str(row)


def inputs_of(config, master, ledger):
    claim = claim_head(config)
    return make_inputs(config, load_records(config, master), claim, master, ledger.reserve_head), claim


def test_a_second_private_head_for_the_same_records_is_over_budget(tmp_path):
    with rehearsal(tmp_path / "run", tiny_config(**KINDS["dp-sgd"])) as job:
        prepared = job.opened.owner.prepared
        config = prepared.config
        ledger = Ledger.open(job.folder.owner / "ledger.json", config.epsilon, config.delta)
        other = config.model_copy(update={"spec_seed": 1})
        with pytest.raises(PrivacyBudgetError, match="over the budget"):
            inputs_of(other, prepared.secrets.master, ledger)
        assert inputs_of(config, prepared.secrets.master, ledger)[1].division is not None
