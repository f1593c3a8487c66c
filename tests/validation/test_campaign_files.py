"""What a campaign keeps: results that survive kills and damage, settings that must match."""

import json
import math
import os
import zlib
from pathlib import Path

import pytest

from refglow.validation.campaigns.campaign import Outcome, campaign_of, report_of, settings_of
from refglow.validation.campaigns.folder import CampaignFolder
from refglow.validation.campaigns.grouping import groups_of
from refglow.validation.campaigns.of_data import BitsPerDimCampaign
from refglow.validation.campaigns.of_implementation import ImplementationCampaign
from refglow.validation.campaigns.of_tfp import TfpCampaign
from refglow.validation.campaigns.results_file import ResultsFile

OUTCOMES = [Outcome(2, {"number": 0.1, "text": "grün \x1b\n"}), Outcome(0, None, "raised: so"),
            Outcome(7, {"sums": [10**60, 3], "none": None})]
DATA = BitsPerDimCampaign("/m", "d", 8, "digits", None, "test", 5, [8, 8, 1, 5], 0, 2, 2)
SETTINGS = settings_of(DATA)
START = zlib.crc32(json.dumps(SETTINGS).encode())


@pytest.fixture
def results(tmp_path):
    file = ResultsFile(tmp_path / "results.jsonl", SETTINGS)
    for outcome in OUTCOMES:
        file.append(outcome)
    return file


# ---- the results' file --------------------------------------------------------------------------


def test_what_was_added_is_read(results):
    assert results.read() == ({one.index: one for one in OUTCOMES}, 0)
    lines = results.path.read_bytes().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [2, 0, 7]
    body, _, check = lines[0].rpartition(b', "check": "')
    assert check == b'%08x"}' % zlib.crc32(body + b"}", START)


def test_an_unfinished_last_line_is_dropped_wherever_it_ends(results):
    content = results.path.read_bytes()
    last = len(content) - len(content.splitlines(keepends=True)[-1])
    for end in range(last, len(content)):
        results.path.write_bytes(content[:end])
        assert list(results.read()[0]) == [2, 0]
        assert results.read()[1] == (end > last)
        results.drop_unfinished()
        assert results.path.read_bytes() == content[:last]
        results.append(OUTCOMES[2])
        assert results.path.read_bytes() == content


def test_a_damaged_line_is_as_if_it_had_never_been_there(results):
    content = results.path.read_bytes()
    first = content.index(b"\n")
    whole = {one.index: one for one in OUTCOMES}
    for place in range(first):
        for value in (content[place] ^ 1, content[place] ^ 64, 0, 0x7d):
            damaged = content[:place] + bytes([value]) + content[place + 1:]
            results.path.write_bytes(damaged)
            found, count = results.read()
            # A byte that became the end of a line makes two of one; a blank one may be another.
            assert found == whole or (2 not in found and len(found) == 2 and count in (1, 2))


@pytest.mark.parametrize("line", [
    b"null", b"[]", b"3", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"check": "00000000"}',
    b'{"index": 1, "result": {}}'])
def test_lines_that_are_no_results(results, line):
    results.path.write_bytes(results.path.read_bytes() + line + b"\n")
    assert results.read() == ({one.index: one for one in OUTCOMES}, 1)


def _with_check(body):
    text = json.dumps(body).encode()
    return text[:-1] + b', "check": "%08x"}\n' % zlib.crc32(text, START)


@pytest.mark.parametrize("body", [
    {"index": True, "result": {}}, {"index": "1", "result": {}}, {"index": 1},
    {"index": 1, "result": 3}, {"index": 1, "failed": None}])
def test_lines_of_another_shape_with_the_right_check(results, body):
    results.path.write_bytes(_with_check({"index": 1, "failed": "x"}))
    assert results.read() == ({1: Outcome(1, None, "x")}, 0)
    results.path.write_bytes(_with_check(body))
    assert results.read() == ({}, 1)


def test_of_two_results_the_later_counts(results):
    results.append(Outcome(0, {"again": 1}))
    assert results.read()[0][0] == Outcome(0, {"again": 1})


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r"Cannot write the results .*nowhere"):
        ResultsFile(tmp_path / "nowhere" / "results.jsonl", SETTINGS).append(OUTCOMES[0])


# ---- the folder ---------------------------------------------------------------------------------


def begun(path, campaign, resume=False):
    folder = CampaignFolder(path, campaign)
    with folder.held():
        return folder.begin(resume)


def test_a_campaign_goes_on_where_it_was(tmp_path):
    assert begun(tmp_path / "new", DATA) == ({}, 0)
    folder = CampaignFolder(tmp_path / "new", DATA)
    assert campaign_of(json.loads(folder.settings.read_text())) == DATA
    assert begun(folder.path, DATA) == ({}, 0)  # nothing was computed yet
    folder.results.append(Outcome(1, None, "so"))
    with pytest.raises(ValueError, match=r"1 of 3 shards are done\. Give --resume"):
        begun(folder.path, DATA)
    assert begun(folder.path, DATA, resume=True) == ({1: Outcome(1, None, "so")}, 0)
    for index in (0, 2):
        folder.results.append(Outcome(index, None, "so"))
    assert len(begun(folder.path, DATA)[0]) == 3  # it is finished


def test_the_folder_of_another_campaign_is_refused(tmp_path):
    begun(tmp_path, DATA)
    CampaignFolder(tmp_path, DATA).results.append(Outcome(1, None, "so"))
    other = campaign_of(settings_of(DATA) | {"seed": 3, "data": "x"})
    with pytest.raises(ValueError, match=r'another campaign: data is "digits" there and "x" here; '
                                         "seed is 0 there and 3 here. Give another folder"):
        begun(tmp_path, other, resume=True)
    with pytest.raises(ValueError, match='architectures is not given there and 5 here'):
        begun(tmp_path, TfpCampaign(5, 0, "0.25"), resume=True)


def test_a_campaign_of_another_refglow_is_refused(tmp_path):
    settings = settings_of(DATA) | {"refglow": "0.0.7"}
    with pytest.raises(ValueError, match=r"the campaign is of refglow 0\.0\.7; here it is"):
        campaign_of(settings)
    begun(tmp_path, DATA)
    CampaignFolder(tmp_path, DATA).results.append(Outcome(1, None, "so"))
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r'another campaign: refglow is "0\.0\.7" there'):
        begun(tmp_path, DATA, resume=True)


@pytest.mark.parametrize("name", ["settings.json", "results.jsonl"])
def test_a_pipe_in_the_folder_is_not_waited_for(name, tmp_path):
    begun(tmp_path, DATA)
    CampaignFolder(tmp_path, DATA).results.append(Outcome(1, None, "so"))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match=f"not a regular file.*{name}"):
        begun(tmp_path, DATA, resume=True)


@pytest.mark.parametrize("content", ["[]", "nonsense", "[" * 100_000, "\x00", "{}"])
def test_settings_that_are_no_campaigns(tmp_path, content):
    begun(tmp_path, DATA)
    CampaignFolder(tmp_path, DATA).results.append(Outcome(1, None, "so"))
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(ValueError, match=r"not the JSON that a campaign writes|another campaign"):
        begun(tmp_path, DATA, resume=True)


def test_results_without_settings_or_of_other_items_are_refused(tmp_path):
    ResultsFile(tmp_path / "results.jsonl", SETTINGS).append(Outcome(1, None, "so"))
    with pytest.raises(ValueError, match=r"holds results\.jsonl, but no settings\.json"):
        begun(tmp_path, DATA, resume=True)
    begun(tmp_path / "new", DATA)
    ResultsFile(tmp_path / "new" / "results.jsonl", SETTINGS).append(Outcome(3, None, "so"))
    with pytest.raises(ValueError, match="results that are not of this campaign"):
        begun(tmp_path / "new", DATA, resume=True)


def test_a_place_that_is_no_folder_or_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        begun(tmp_path / "file", DATA)
    with pytest.raises(OSError, match="Cannot write in /proc"):
        CampaignFolder(Path("/proc"), DATA).begin(False)


def test_a_line_of_another_campaign_is_no_result_of_this_one(tmp_path):
    begun(tmp_path, DATA)
    CampaignFolder(tmp_path, DATA).results.append(OUTCOMES[1])
    other = campaign_of(SETTINGS | {"seed": 3})
    CampaignFolder(tmp_path, other).results.append(Outcome(1, {"of": "another"}))
    assert begun(tmp_path, DATA, resume=True) == ({0: OUTCOMES[1]}, 1)


def test_damaged_results_are_not_taken_over_by_another_campaign(tmp_path):
    begun(tmp_path, DATA)
    (tmp_path / "results.jsonl").write_text("damaged\n")
    before = (tmp_path / "settings.json").read_bytes()
    with pytest.raises(ValueError, match="another campaign: seed is 0 there and 3 here"):
        begun(tmp_path, campaign_of(SETTINGS | {"seed": 3}))
    assert (tmp_path / "settings.json").read_bytes() == before
    assert begun(tmp_path, DATA) == ({}, 1)


def test_two_processes_do_not_run_one_campaign(tmp_path):
    with CampaignFolder(tmp_path, DATA).held(), \
            pytest.raises(ValueError, match="Another process is running a campaign in"):
        begun(tmp_path, DATA)


def test_results_that_no_such_campaign_computes(tmp_path):
    folder = CampaignFolder(tmp_path, DATA)
    for result in ({}, {"images": 1, "not_finite": 0, "lost": "0", "total": [1, 0],
                        "squares": [1, 1], "computed_on": ""},
                   {"images": 1, "not_finite": 0, "lost": "x", "total": 3, "squares": [1, 1],
                    "computed_on": ""}):
        with pytest.raises(ValueError, match="results that no such campaign computes"):
            folder.finish({0: Outcome(0, result)})


# ---- reports ------------------------------------------------------------------------------------


def shard(images, total, squares):
    return {"images": images, "not_finite": 0, "lost": "0.0", "total": total, "squares": squares,
            "computed_on": "here"}


def test_the_report_does_not_depend_on_the_order():
    outcomes = [Outcome(0, shard(2, [5, 1], [13, 1])), Outcome(1, shard(2, [9, 2], [53, 4])),
                Outcome(2, shard(1, [1, 1], [1, 1]))]
    report = report_of(DATA, outcomes)
    assert report == report_of(DATA, outcomes[::-1])
    assert report["bits_per_dim"] == 2.1 and report["passed"]
    assert report["standard_error"] == math.sqrt(0.26)  # (27.25 - 10.5^2 / 5) / 4 / 5
    assert not {"seconds", "workers"} & set(report)


def test_a_mean_of_some_images_does_not_pass():
    report = report_of(DATA, [Outcome(0, shard(2, [5, 1], [13, 1])), Outcome(2, None, "b"),
                              Outcome(1, None, "a")])
    assert not report["passed"] and not report["complete"] and report["images"] == 2
    assert report["failed"] == [{"index": 1, "reason": "a"}, {"index": 2, "reason": "b"}]


def architecture(**arguments):
    return {"output_shape": [4, 4, 2], "num_glow_blocks": 1, "num_steps_per_block": 2,
            "grab_after_block": [0.0], "use_actnorm": True, "num_hidden": 3, "affine": True,
            "affine_exits": True} | arguments


def compared(parameters, explanation=None, reason=None, **arguments):
    findings = [{"subject": "coupling", "where": "block0", "explanation": explanation,
                 "words": f"it is {parameters}"}] if explanation is not None else []
    return {"arguments": architecture(**arguments), "parameters": parameters, "compared": 3,
            "passed": explanation is None and reason is None, "wrong": {},
            "failed": [{"offering": name, "reason": reason} for name in ("inverse", "layers")
                       if reason],
            "diagnosis": {"findings": findings, "answers": explanation or {}, "complete": True}
            if findings else None}


def test_what_differs_is_grouped_by_what_explains_it():
    results = {0: compared(50), 1: compared(40, {"scale": "exp"}, affine=False),
               2: compared(30, {"scale": "exp"}, affine=False, use_actnorm=False),
               3: compared(20, {}), 4: compared(60, reason="no block2.step3", num_glow_blocks=3),
               5: compared(70, reason="no block1.step0", num_glow_blocks=2)}
    groups = groups_of(results)
    assert [group["indices"] for group in groups] == [[1, 2], [4, 5], [3]]
    assert [group["smallest"] for group in groups] == [2, 4, 3]
    assert [group["answers"] for group in groups] == [{"scale": "exp"}, {}, {}]
    assert groups[0]["words"] == ["it is 30"]
    assert groups[1]["words"] == ["inverse, layers: no block2.step3."]
    assert [group["only_with"] for group in groups] == [{"affine": False}, {}, {}]


def test_the_smallest_that_differs_is_named():
    campaign = ImplementationCampaign("m:x", "", 3, 4, 2, ["float64"], 5.0, 1.0)
    results = {0: compared(9), 1: compared(20, {"scale": "exp"}), 2: compared(10, {})}
    report = campaign.report(results)
    assert (report["smallest"], report["agree"], report["differ"]) == (2, 1, [1, 2])
    assert not report["passed"] and report["compared"] == 9
    assert campaign.report({0: compared(9)}) == {
        "agree": 1, "differ": [], "compared": 3, "groups": [], "smallest": None,
        "smallest_arguments": None, "passed": True}
    assert campaign.rerun("f")[1:] == [
        "validate", "--implementation", "m:x", "--model", "f", "--seed", "4", "--images", "2",
        "--time-limit", "5", "--dtype", "float64"]
