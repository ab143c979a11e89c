from vllmd.scrape.families import parse_page
from vllmd.scrape.peak import PEAK, Peaks


def test_the_highest_value_of_each_rank_stays_until_the_engine_is_gone() -> None:
    peaks = Peaks()
    assert peaks.family().samples == []
    for zero, one in ((3, 0), (7, 2), (1, 1)):
        page = f'vllm:num_requests_running{{engine="0"}} {zero}\n'
        page += f'vllm:num_requests_running{{engine="1"}} {one}\nvllm:other{{engine="0"}} 99\n'
        peaks.note(parse_page(page.encode(), "chat").families)
    assert peaks.family().samples == [
        PEAK + b'{vllmd_engine="chat",engine="0"} 7.0',
        PEAK + b'{vllmd_engine="chat",engine="1"} 2.0',
    ]
    peaks.forget()
    assert peaks.family().samples == []
