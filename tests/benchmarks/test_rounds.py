from benchmarks.rounds import in_turn


def test_measurements_are_taken_in_turn():
    taken = []

    def measurement(name):
        def take():
            taken.append(name)
            return float(len(taken))

        return take

    values = in_turn({name: measurement(name) for name in ("echo", "recur")}, 2)
    assert taken == ["echo", "recur", "echo", "recur"]
    assert values == {"echo": [1.0, 3.0], "recur": [2.0, 4.0]}
