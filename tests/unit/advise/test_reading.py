from tests.helpers.make import DATA
from vllmd.advise.reading import EngineCounts, read_counted, read_moment
from vllmd.scrape.families import parse_page


def test_a_page_of_vllm_has_what_advice_is_made_of() -> None:
    content = (DATA / "metrics" / "vllm-0.32-cpu.prom").read_bytes()
    families = parse_page(content, "chat").families
    counted, moment = read_counted(families), read_moment(families)
    assert moment is not None
    assert moment.kv_cache is not None
    assert counted.counts["finished/length"] > 0
    assert counted.counts["rejected/max_num_queued_reqs"] == 0
    assert counted.histograms.keys() == {
        *("prompt", "answer", "first_token_s", "queue_s", "between_tokens_s")
    }


def test_labels_are_kept_apart_and_ranks_added_up() -> None:
    text = b"""# TYPE vllm:spec_decode_num_accepted_tokens_per_pos_total counter
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="0"} 3
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="1",position="0"} 4
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="1"} 1
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0"} 2
vllm:num_preemptions_total{engine="1"} NaN
"""
    counted = read_counted(parse_page(text, "chat").families)
    assert counted.counts == {"accepted/0": 7, "accepted/1": 1, "preemptions": 2}
    assert read_moment(parse_page(text, "chat").families) is None


def test_what_fell_began_anew() -> None:
    now, before = (
        EngineCounts({"preemptions": 3.0, "drafts": 9.0}),
        EngineCounts({"preemptions": 5.0}),
    )
    assert now.since(before).counts == {"preemptions": 3.0, "drafts": 9.0}
