"""The ledger: budget, one label map, one data set, and resuming after a crash with the same bytes."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clicooper.errors import PrivacyBudgetError, PrivacyClaimError, RunFolderError
from clicooper.privacy.accounting import compose
from clicooper.privacy.labels import expand_labels
from clicooper.privacy.ledger import Ledger, ReleaseRequest, Status
from clicooper.privacy.randomised_response import RandomisedResponse
from clicooper.privacy.randomness import MasterSecret, bind
from clicooper.privacy.release import ReleaseParams, make_release, release_content, release_context
from clicooper.types import Digest

DATASET, HEAD = bind("dataset"), bind("head")
SECRET = MasterSecret.from_seed(5)
LABELS = np.repeat(np.arange(2), 50)
MAP = expand_labels(LABELS, 2, secret=SECRET, context=DATASET, gamma=5)
FEATURES = np.random.default_rng(1).normal(size=(100, 3))


def request_for(epsilon=2.0, label_map=MAP, dataset=DATASET, head=HEAD):
    params = ReleaseParams(epsilon, 1e-5, clip=1.0)
    return ReleaseRequest(
        dataset=dataset,
        content=release_content(dataset, head, label_map, params),
        label_map=label_map.digest,
        sigma=params.gaussian.sigma,
        sensitivity=params.gaussian.sensitivity,
        epsilon=params.epsilon,
        delta=params.delta,
        label_epsilon=label_map.label_epsilon,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "owner" / "ledger.json"


def open_ledger(path, budget=2.0):
    return Ledger.open(path, budget, 1e-5)


def test_a_release_of_the_whole_budget_fits_exactly(path):
    ledger = open_ledger(path)
    entry = ledger.reserve(request_for(2.0))
    assert (entry.number, entry.status, entry.release) == (0, Status.RESERVED, None)
    assert ledger.spent_epsilon() == pytest.approx(2.0, rel=1e-9)


def test_second_release_over_the_budget_is_refused(path):
    ledger = open_ledger(path)
    ledger.reserve(request_for(2.0))
    with pytest.raises(PrivacyBudgetError, match="over the budget of 2"):
        ledger.reserve(request_for(0.1))
    assert len(ledger.entries()) == 1


def test_releases_compose_exactly_until_the_budget_is_spent(path):
    ledger = open_ledger(path, budget=3.0)
    assert [ledger.reserve(request_for(2.0, head=bind("head", i))).number for i in range(2)] == [0, 1]
    assert 2.0 < ledger.spent_epsilon() < 3.0
    with pytest.raises(PrivacyBudgetError, match="add up"):
        ledger.reserve(request_for(2.0))


def test_a_reservation_counts_even_if_it_is_never_published(path):
    open_ledger(path).reserve(request_for(2.0))
    with pytest.raises(PrivacyBudgetError):
        open_ledger(path).reserve(request_for(2.0, head=bind("other head")))


def test_second_label_map_over_the_same_records_is_refused(path):
    ledger = open_ledger(path, budget=100.0)
    ledger.reserve(request_for())
    other = expand_labels(LABELS, 2, secret=SECRET, context=DATASET, gamma=4)
    with pytest.raises(PrivacyBudgetError, match="another label map"):
        ledger.reserve(request_for(label_map=other))


def test_another_secret_cannot_resume_a_reservation_with_a_second_noise(path):
    ledger = open_ledger(path, budget=100.0)
    ledger.reserve(request_for())
    other = expand_labels(LABELS, 2, secret=MasterSecret.from_seed(6), context=DATASET, gamma=5)
    with pytest.raises(PrivacyBudgetError, match="another label map"):
        ledger.reserve(request_for(label_map=other))


def test_edited_copy_of_the_data_does_not_escape_the_budget(path):
    ledger = open_ledger(path)
    ledger.reserve(request_for())
    with pytest.raises(PrivacyBudgetError, match="another data set"):
        ledger.reserve(request_for(dataset=bind("dataset, one record edited")))


def test_crash_between_reserve_and_publish_resumes_with_the_same_bytes(path):
    def attempt():
        request = request_for()
        entry = open_ledger(path).reserve(request)
        context = release_context(entry.content, entry.number)
        return entry, make_release(FEATURES, MAP, ReleaseParams(2.0, 1e-5, clip=1.0), SECRET, context)

    (crashed, lost), (resumed, release) = attempt(), attempt()
    assert resumed == crashed
    assert release.activations.tobytes() == lost.activations.tobytes()
    published = open_ledger(path).publish(resumed.number, bind("release"))
    assert published.status is Status.PUBLISHED
    assert open_ledger(path).entries() == (published,)
    assert open_ledger(path).spent_epsilon() == pytest.approx(2.0, rel=1e-9)


def test_process_killed_between_noise_and_publication_leaves_one_release(path, tmp_path):
    """A real process draws the noise and dies before it can publish; the next one makes the same bytes."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "import numpy as np\n"
        "from tests.unit.privacy.test_ledger import FEATURES, MAP, SECRET, open_ledger, request_for\n"
        "from clicooper.privacy.release import ReleaseParams, make_release, release_context\n"
        "entry = open_ledger(Path(sys.argv[1])).reserve(request_for())\n"
        "context = release_context(entry.content, entry.number)\n"
        "made = make_release(FEATURES, MAP, ReleaseParams(2.0, 1e-5, clip=1.0), SECRET, context)\n"
        "Path(sys.argv[2]).write_bytes(made.activations.tobytes())\n"
        "os.kill(os.getpid(), 9)\n"
    )
    drawn = [tmp_path / "first", tmp_path / "second"]
    for file in drawn:
        command = [sys.executable, "-c", program, str(path), str(file)]
        killed = subprocess.run(command, check=False, cwd=Path(__file__).parents[3])
        assert killed.returncode == -9
        (entry,) = open_ledger(path).entries()
        assert (entry.number, entry.status) == (0, Status.RESERVED)
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    with pytest.raises(PrivacyBudgetError, match="over the budget"):
        open_ledger(path).reserve(request_for(0.5))


def noisy_map(epsilon=1.5, secret=SECRET):
    response = RandomisedResponse(epsilon, 2)
    noisy = response.respond(LABELS, secret=secret, context=DATASET)
    return expand_labels(noisy, 2, secret=secret, context=bind("noisy", noisy.tobytes()), gamma=5, response=response)


def noisy_request(epsilon=2.0, label_epsilon=1.5, head=HEAD):
    return request_for(epsilon, label_map=noisy_map(label_epsilon), head=head)


def test_randomised_labels_cost_their_epsilon_on_top_of_the_release(path):
    ledger = open_ledger(path, budget=3.5)
    assert ledger.reserve(noisy_request()).label_epsilon == 1.5
    assert ledger.spent_epsilon() == pytest.approx(3.5, rel=1e-9)
    with pytest.raises(PrivacyBudgetError, match=r"over the budget of 3\.5"):
        ledger.reserve(noisy_request(0.1, head=bind("other head")))


def test_budget_of_the_input_alone_does_not_pay_for_labels(path):
    with pytest.raises(PrivacyBudgetError, match=r"add up to epsilon 3\.5, over the budget of 2"):
        open_ledger(path).reserve(noisy_request())
    assert open_ledger(path).entries() == ()


def test_one_response_is_paid_once_however_many_releases_use_its_map(path):
    ledger = open_ledger(path, budget=10.0)
    for number in range(3):
        ledger.reserve(noisy_request(head=bind("head", number)))
    mechanism = ReleaseParams(2.0, 1e-5, clip=1.0).gaussian
    assert ledger.spent_epsilon() == pytest.approx(1.5 + compose([mechanism] * 3, 1e-5), rel=1e-12)


@pytest.mark.parametrize("first", [None, 1.0, 1.5])
@pytest.mark.parametrize("second", [None, 1.0, 1.5])
def test_second_response_to_the_same_labels_is_refused(path, first, second):
    """Also one label map after the other: true labels beside noisy ones tell which those are."""
    maps = {None: MAP, 1.0: noisy_map(1.0), 1.5: noisy_map(1.5)}
    ledger = open_ledger(path, budget=100.0)
    ledger.reserve(request_for(label_map=maps[first]))
    again = request_for(label_map=maps[second], head=bind("other head"))
    if first == second:
        assert ledger.reserve(again).number == 1
        return
    with pytest.raises(PrivacyBudgetError, match="labels were released"):
        ledger.reserve(again)


def test_another_secret_cannot_draw_a_second_response(path):
    ledger = open_ledger(path, budget=100.0)
    ledger.reserve(noisy_request())
    with pytest.raises(PrivacyBudgetError, match="another label map"):
        ledger.reserve(request_for(label_map=noisy_map(secret=MasterSecret.from_seed(6))))


def test_process_killed_after_its_response_leaves_one_response(path, tmp_path):
    """A real process randomises the labels, reserves and dies; the next one has the same map, paid for once."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from tests.unit.privacy.test_ledger import noisy_map, noisy_request, open_ledger\n"
        "open_ledger(Path(sys.argv[1]), 3.5).reserve(noisy_request())\n"
        "Path(sys.argv[2]).write_bytes(noisy_map().pseudo_of_record.tobytes())\n"
        "os.kill(os.getpid(), 9)\n"
    )
    drawn = [tmp_path / "first", tmp_path / "second"]
    for file in drawn:
        command = [sys.executable, "-c", program, str(path), str(file)]
        killed = subprocess.run(command, check=False, cwd=Path(__file__).parents[3])
        assert killed.returncode == -9
        (entry,) = open_ledger(path, 3.5).entries()
        assert (entry.number, entry.status, entry.label_epsilon) == (0, Status.RESERVED, 1.5)
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    assert open_ledger(path, 3.5).spent_epsilon() == pytest.approx(3.5, rel=1e-9)


def test_file_says_what_labels_cost_and_is_written_as_it_is_read(path):
    entry = {
        **{name: "0x" + digit * 64 for name, digit in (("dataset", "1"), ("content", "2"), ("label_map", "3"))},
        **{"sigma": 3.0, "sensitivity": 2.0, "epsilon": 2.0, "delta": 1e-5, "number": 0},
        **{"status": "reserved", "release": None, "label_epsilon": None, "mechanism": "gaussian"},
    }
    true = {"format": "clicooper-ledger/1", "budget_epsilon": 9.0, "delta": 1e-5, "entries": [entry], "heads": []}
    noisy = true | {"entries": [entry | {"label_epsilon": 1.5}]}
    path.parent.mkdir(mode=0o700)
    for document, label_epsilon in ((true, None), (noisy, 1.5)):
        path.write_text(json.dumps(document))
        ledger = open_ledger(path, budget=9.0)
        assert ledger.entries()[0].label_epsilon == label_epsilon
        ledger.publish(0, Digest(bytes(32)))
        written = json.loads(path.read_text())
        published = {"status": "published", "release": "0x" + "00" * 32}
        assert written == document | {"entries": [document["entries"][0] | published]}
    wrong = [noisy | {"format": "clicooper-ledger/2"}, {name: noisy[name] for name in noisy if name != "heads"}]
    wrong += [noisy | {"entries": [entry | {"label_epsilon": value}]} for value in (0, -1.0, [], "two", 1e999)]
    wrong += [noisy | {"entries": [entry | {"mechanism": value}]} for value in (None, "laplace")]
    wrong += [noisy | {"entries": [{name: entry[name] for name in entry if name != "label_epsilon"}]}]
    for document in wrong:
        path.write_text(json.dumps(document))
        with pytest.raises(RunFolderError, match="missing or damaged"):
            open_ledger(path, budget=9.0)


def test_publishing_twice_needs_the_same_bytes(path):
    ledger = open_ledger(path)
    number = ledger.reserve(request_for()).number
    assert ledger.publish(number, bind("release")) == ledger.publish(number, bind("release"))
    with pytest.raises(PrivacyBudgetError, match="already published with other bytes"):
        ledger.publish(number, bind("second draw"))


@pytest.mark.parametrize("number", [-1, 0, 1])
def test_publishing_without_a_reservation_is_refused(path, number):
    with pytest.raises(PrivacyBudgetError, match="never reserved"):
        open_ledger(path).publish(number, bind("release"))


def test_same_content_with_a_smaller_claimed_sigma_is_refused(path):
    ledger = open_ledger(path)
    ledger.reserve(request_for())
    with pytest.raises(PrivacyBudgetError, match="same content with other numbers"):
        ledger.reserve(replace(request_for(), sigma=0.01))


def test_budget_is_fixed_when_the_ledger_is_created(path):
    open_ledger(path, 2.0)
    with pytest.raises(PrivacyBudgetError, match="created for epsilon 2 "):
        open_ledger(path, 20.0)


@pytest.mark.parametrize(("budget", "delta"), [(0.0, 1e-5), (float("nan"), 1e-5), (1.0, 0.0), (1.0, 1.0)])
def test_impossible_budgets_are_refused_before_a_file_exists(path, budget, delta):
    with pytest.raises(PrivacyClaimError):
        Ledger.open(path, budget, delta)
    assert not path.exists()


def test_only_the_owner_can_read_it_and_no_temporary_file_stays(path):
    open_ledger(path).reserve(request_for())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(file.name for file in path.parent.iterdir()) == ["ledger.json", "ledger.json.lock"]


def damaged_books(text):
    book = json.loads(text)
    entry = book["entries"][0]
    yield text[:-20]
    yield "[]"
    yield json.dumps(book | {"format": "clicooper-ledger/2"})
    yield json.dumps(book | {"comment": "hello"})
    for change in (
        {"number": 1},
        {"dataset": "0x12"},
        {"sigma": -1.0},
        {"sigma": None},
        {"status": "lost"},
        {"status": "published"},
        {"release": "0x" + "00" * 32},
        {"extra": 1},
    ):
        yield json.dumps(book | {"entries": [entry | change]})


def test_damaged_ledger_allows_no_release(path):
    open_ledger(path).reserve(request_for())
    for text in list(damaged_books(path.read_text())):
        path.write_text(text)
        with pytest.raises(RunFolderError, match="missing or damaged"):
            open_ledger(path)


def test_deleted_ledger_is_noticed_by_an_open_one(path):
    ledger = open_ledger(path)
    path.unlink()
    with pytest.raises(RunFolderError, match="missing or damaged"):
        ledger.reserve(request_for())


def test_unusable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot lock"):
        open_ledger(tmp_path / "file" / "ledger.json")


def test_write_into_a_lost_folder_is_reported(path, tmp_path):
    from clicooper.privacy._ledger_file import Book, write_book

    with pytest.raises(RunFolderError, match="cannot write"):
        write_book(tmp_path / "absent" / "ledger.json", Book(1.0, 1e-5, ()))


def test_two_processes_cannot_both_spend_the_last_of_a_budget(path):
    """Four racing reservations of the whole budget: exactly one succeeds."""
    open_ledger(path)
    program = (
        "import sys; from pathlib import Path\n"
        "from clicooper.errors import PrivacyBudgetError\n"
        "from clicooper.privacy.ledger import Ledger, ReleaseRequest\n"
        "from clicooper.privacy.randomness import bind\n"
        "request = ReleaseRequest(bind('d'), bind('c', int(sys.argv[2])), bind('m'), 2.0, 1.0, 1.9943, 1e-5)\n"
        "try: Ledger.open(Path(sys.argv[1]), 2.0, 1e-5).reserve(request)\n"
        "except PrivacyBudgetError: sys.exit(9)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    racers = [subprocess.Popen([sys.executable, "-c", program, str(path), str(i)], env=environment) for i in range(4)]
    assert sorted(racer.wait() for racer in racers) == [0, 9, 9, 9]
    assert len(open_ledger(path).entries()) == 1
