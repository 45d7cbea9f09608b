"""Seeds of a study's draws: what every curve is behind, from the seed that was asked for."""

from factbook import store


def test_three_draws_and_one_where_the_code_is_only_run():
    assert [list(store.draws(profile, 4)) for profile in store.PROFILES] == [[4], [4, 5, 6], [4, 5, 6]]
