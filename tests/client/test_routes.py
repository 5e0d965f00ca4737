"""Answers on one stream, each to the request that waits for it."""

import numpy as np

from client.errors import Unavailable
from client.messages import Notice, Reply
from client.routes import Routes


def reply(request_id, **parameters):
    return Reply(request_id, {"y": np.zeros(1)}, parameters)


def test_answers_go_to_their_requests_in_any_order():
    routes, first, second = Routes(None), [], []
    routes.open("1", first.append, many=False)
    routes.open("2", second.append, many=False)
    two, one = reply("2"), reply("1")
    routes.deliver("2", two)
    routes.deliver("1", one)
    assert (first, second) == ([one], [two])


def test_one_answer_ends_a_request_and_the_marked_one_a_request_of_many():
    routes, one, many = Routes(None), [], []
    routes.open("1", one.append, many=False)
    routes.open("2", many.append, many=True)
    for _ in range(2):
        routes.deliver("1", reply("1"))
        routes.deliver("2", reply("2"))
    routes.deliver("2", reply("2", triton_final_response=True))
    routes.deliver("2", reply("2"))
    assert (len(one), len(many)) == (1, 3)


def test_an_answer_to_a_request_given_up_is_dropped_but_heard():
    routes, answers = Routes(None), []
    routes.open("1", answers.append, many=False)
    routes.close("1")
    routes.deliver("1", reply("1"))
    assert (answers, routes.heard) == ([], 1)


def test_the_end_reaches_all_who_wait_and_who_come_later():
    routes, before, after = Routes(None), [], []
    routes.open("1", before.append, many=True)
    routes.end(None)
    routes.end(Unavailable("later"))
    routes.open("2", after.append, many=False)
    assert routes.ended
    assert [str(error) for error in before + after] == ["UNAVAILABLE: the stream ended before the answer came"] * 2


def test_a_notice_goes_to_who_wants_it():
    heard = []
    Routes(heard.append).deliver("", Notice("EXPIRED"))
    Routes(None).deliver("", Notice("EXPIRED"))
    assert heard == [Notice("EXPIRED")]
