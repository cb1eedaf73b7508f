/* The verdict on a series: of each course, of bad input, and that units do not change it. */
#include "analysis/leak.h"
#include "series.h"
#include "unit.h"

#include <math.h>

static const double MIB = 1 << 20;

/* A series as somebody samples it. */
struct sampling {
    series_course *course;
    double level, rise, noise; /* in MiB */
    double duration_s, interval_s;
};

static const struct sampling usual = {
    .level = 200, .rise = 100, .noise = 4, .duration_s = 7200, .interval_s = 2};

static struct mw_judgement judge(const struct sampling *sampling)
{
    struct mw_leak leak = {0};
    struct mw_judgement judgement;
    uint64_t seed = 42;

    for (double t_s = 0; t_s < sampling->duration_s; t_s += sampling->interval_s) {
        double height = sampling->course(t_s / sampling->duration_s);

        mw_leak_feed(
            &leak, t_s,
            (sampling->level + sampling->rise * height + sampling->noise * series_noise(&seed)) *
                MIB);
    }
    mw_leak_judge(&leak, sampling->duration_s, 300, &judgement);
    return judgement;
}

static struct sampling of(series_course *course)
{
    struct sampling sampling = usual;

    sampling.course = course;
    return sampling;
}

static const struct {
    series_course *course;
    enum mw_verdict verdict;
} courses[] = {
    {series_flat, MW_VERDICT_STABLE},   {series_line, MW_VERDICT_LEAK},
    {series_cache, MW_VERDICT_FILLING}, {series_step, MW_VERDICT_STEP},
    {series_late, MW_VERDICT_LEAK},     {series_warm_up, MW_VERDICT_LEAK},
    {series_days, MW_VERDICT_STABLE},   {series_days_leak, MW_VERDICT_LEAK},
    {series_teeth, MW_VERDICT_STABLE},  {series_teeth_leak, MW_VERDICT_LEAK},
    {series_halt, MW_VERDICT_LEAK},     {series_ramp, MW_VERDICT_FILLING},
    {series_full, MW_VERDICT_FILLING},
};

static void test_each_course_has_its_verdict(void **state)
{
    (void)state;
    for (size_t c = 0; c < MW_COUNT(courses); c++) {
        struct sampling sampling = of(courses[c].course);
        struct mw_judgement judgement = judge(&sampling);

        if (judgement.verdict != courses[c].verdict)
            fail_msg("course %zu is called %s", c, mw_verdict_name(judgement.verdict));
    }
}

static void test_units_do_not_change_a_verdict(void **state)
{
    (void)state;
    for (size_t c = 0; c < MW_COUNT(courses); c++) {
        struct sampling changed[6];

        for (size_t i = 0; i < MW_COUNT(changed); i++)
            changed[i] = of(courses[c].course);
        changed[0].level *= 7.3, changed[0].rise *= 7.3, changed[0].noise *= 7.3;
        changed[1].level += 600;
        changed[2].duration_s *= 60, changed[2].interval_s *= 60;
        changed[3].duration_s /= 3.7, changed[3].interval_s /= 3.7;
        changed[4].interval_s *= 5;
        changed[5].interval_s /= 10;
        for (size_t i = 0; i < MW_COUNT(changed); i++) {
            struct mw_judgement judgement = judge(&changed[i]);

            if (judgement.verdict != courses[c].verdict)
                fail_msg("course %zu with change %zu is called %s", c, i,
                         mw_verdict_name(judgement.verdict));
        }
    }
}

static void test_the_slope_and_its_interval(void **state)
{
    struct sampling sampling = of(series_line);
    struct mw_judgement judgement = judge(&sampling);
    double truth = 100 * MIB / 7200;

    (void)state;
    assert_true(judgement.certain && judgement.seen_before);
    assert_near(judgement.slope, truth, .03 * truth);
    assert_true(judgement.low < truth && truth < judgement.high);
    assert_true(judgement.high - judgement.low < .2 * truth);
    assert_near(judgement.end, 300 * MIB, 3 * MIB);
    assert_near(judgement.observed_s, 7200, 400);
}

static void test_the_start_of_late_growth_is_cut_off(void **state)
{
    struct sampling sampling = of(series_late);
    struct mw_judgement judgement = judge(&sampling);
    double truth = 100 * MIB / 3600;

    (void)state;
    assert_near(judgement.from_s, 3600, 400);
    assert_near(judgement.slope, truth, .1 * truth);
}

static void test_when_a_limit_is_reached(void **state)
{
    struct sampling sampling = of(series_line);
    struct mw_judgement judgement = judge(&sampling);
    struct mw_arrival arrival = mw_leak_arrival(&judgement, 400 * MIB);

    (void)state;
    assert_near(arrival.at_s, 7200, 300);
    assert_true(arrival.low_s < 7200 && 7200 < arrival.high_s);
    arrival = mw_leak_arrival(&judgement, 100 * MIB);
    assert_true(arrival.at_s == 0 && arrival.low_s == 0 && arrival.high_s == 0);
    judgement.slope = judgement.low = -1;
    judgement.high = 1;
    arrival = mw_leak_arrival(&judgement, 400 * MIB);
    assert_true(isinf(arrival.at_s) && isinf(arrival.high_s) && isfinite(arrival.low_s));
}

static void test_teeth_take_headroom(void **state)
{
    struct sampling sampling = of(series_teeth_leak);
    struct mw_judgement judgement = judge(&sampling);

    (void)state;
    assert_int_equal(judgement.cycle.kind, MW_CYCLE_SAWTOOTH);
    assert_near(judgement.cycle.period, 600, 60);
    /* The floor is at 300 MiB, the teeth reach 400 already. */
    assert_true(mw_leak_arrival(&judgement, 390 * MIB).at_s < 600);
}

static void test_it_does_not_matter_when_it_was_asked_or_what_was_repeated(void **state)
{
    struct mw_leak watched = {0}, read = {0};
    struct mw_judgement judgement, again;
    double before = NAN;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        double bytes = (200 + floor(i / 250.)) * MIB;

        mw_leak_feed(&watched, i * .1, bytes);
        if (i % 1000 == 0)
            mw_leak_judge(&watched, i * .1, 300, &again);
        if (bytes != before)
            mw_leak_feed(&read, i * .1, bytes);
        before = bytes;
    }
    mw_leak_judge(&watched, 2000, 300, &again);
    mw_leak_judge(&read, 2000, 300, &judgement);
    assert_int_equal(judgement.verdict, MW_VERDICT_LEAK);
    assert_int_equal(again.verdict, judgement.verdict);
    assert_near(again.slope, judgement.slope, 1e-6 * judgement.slope);
    assert_near(again.low, judgement.low, 1e-3 * judgement.slope);
}

static void test_growth_of_a_moment_ago_is_suspect_and_later_a_leak(void **state)
{
    struct mw_leak leak = {0};
    struct mw_judgement judgement;
    enum mw_verdict before = MW_VERDICT_INSUFFICIENT;
    bool suspect = false;
    uint64_t seed = 9;

    (void)state;
    for (double t_s = 0; t_s < 10000; t_s++) {
        mw_leak_feed(&leak, t_s, (200 + fmax(t_s - 3000, 0) / 50 + 2 * series_noise(&seed)) * MIB);
        if ((int)t_s % 250 != 0)
            continue;
        mw_leak_judge(&leak, t_s, 300, &judgement);
        if (t_s <= 3000)
            assert_true(judgement.verdict <= MW_VERDICT_STABLE);
        suspect = suspect || judgement.verdict == MW_VERDICT_SUSPECT;
        before = judgement.verdict;
    }
    assert_true(suspect);
    assert_int_equal(before, MW_VERDICT_LEAK);
}

static void test_too_little_is_insufficient(void **state)
{
    struct mw_leak leak = {0};
    struct mw_judgement judgement;

    (void)state;
    mw_leak_judge(&leak, 1000, 300, &judgement);
    assert_int_equal(judgement.verdict, MW_VERDICT_INSUFFICIENT);
    mw_leak_feed(&leak, 0, MIB);
    mw_leak_feed(&leak, 299, 2 * MIB);
    mw_leak_judge(&leak, 299, 300, &judgement);
    assert_int_equal(judgement.verdict, MW_VERDICT_INSUFFICIENT);
    assert_true(isnan(judgement.slope) && isnan(judgement.end));
    mw_leak_stop(&leak, 299);
    mw_leak_feed(&leak, 10 * 86400, 3 * MIB);
    mw_leak_judge(&leak, 10 * 86400 + 100, 300, &judgement);
    assert_int_equal(judgement.verdict, MW_VERDICT_INSUFFICIENT);
}

static void test_zeros_and_numbers_near_the_largest(void **state)
{
    static const double levels[] = {0, 9.2e18};

    (void)state;
    for (size_t l = 0; l < MW_COUNT(levels); l++) {
        struct mw_leak leak = {0};
        struct mw_judgement judgement;

        for (int i = 0; i < 1000; i++)
            mw_leak_feed(&leak, i, levels[l]);
        mw_leak_judge(&leak, 1000, 300, &judgement);
        assert_int_equal(judgement.verdict, MW_VERDICT_STABLE);
        assert_true(isfinite(judgement.slope) && isfinite(judgement.low));
    }
}

static void test_growth_that_halted_is_told_as_that(void **state)
{
    struct sampling sampling = of(series_halt);
    struct mw_judgement judgement = judge(&sampling);
    double truth = 100 * MIB / (.9 * 7200);

    (void)state;
    assert_near(judgement.to_s, .9 * 7200, 150);
    assert_near(judgement.to_s + judgement.halted_s, 7200, 1);
    assert_near(judgement.slope, truth, .03 * truth);
    assert_near(judgement.end, 300 * MIB, 3 * MIB);
    assert_int_equal(judgement.doubt, MW_DOUBT_HALTED);
    assert_false(judgement.certain);
    sampling.course = series_line;
    assert_true(judge(&sampling).halted_s == 0);
}

static double level_for_a_fifth(double u)
{
    return fmin(u / .8, 1);
}

static void test_growth_that_halted_long_ago_is_suspect(void **state)
{
    struct sampling sampling = of(level_for_a_fifth);

    (void)state;
    assert_int_equal(judge(&sampling).verdict, MW_VERDICT_SUSPECT);
}

static double bent(double u)
{
    return expm1(-.4 * u) / expm1(-.4);
}

static void test_why_a_leak_is_not_certain(void **state)
{
    struct sampling sampling = of(series_line);

    (void)state;
    assert_int_equal(judge(&sampling).doubt, MW_DOUBT_NONE);
    sampling.duration_s = 1200;
    assert_int_equal(judge(&sampling).doubt, MW_DOUBT_BRIEF);
    assert_false(judge(&sampling).certain);
    sampling = of(bent);
    sampling.noise = 1;
    assert_int_equal(judge(&sampling).verdict, MW_VERDICT_LEAK);
    assert_int_equal(judge(&sampling).doubt, MW_DOUBT_BENT);
    assert_false(judge(&sampling).certain);
}

static void test_a_leak_in_noise_that_wanders_is_not_certain(void **state)
{
    struct mw_leak leak = {0};
    struct mw_judgement judgement;
    double wandered = 0;
    uint64_t seed = 5;

    (void)state;
    for (double t_s = 0; t_s < 7200; t_s += 10) {
        wandered += series_noise(&seed);
        mw_leak_feed(&leak, t_s, (200 + t_s / 72 + wandered) * MIB);
    }
    mw_leak_judge(&leak, 7200, 300, &judgement);
    assert_int_equal(judgement.verdict, MW_VERDICT_LEAK);
    assert_int_equal(judgement.doubt, MW_DOUBT_WEAK);
}

/* A leak of 1 MiB a minute that falls to a tenth at 8000 s, and goes on up to 20000. */
static void feed_a_fall(struct mw_leak *leak, bool ends)
{
    uint64_t seed = 17;

    for (double t_s = 0; t_s < 20000; t_s++) {
        double since_s = t_s < 8000 ? t_s : t_s - 8000;
        double level = since_s < 60 ? 20 : 200 + since_s / 60;

        if (t_s == 8000 && ends)
            mw_leak_end(leak, t_s);
        mw_leak_feed(leak, t_s, (level + series_noise(&seed)) * MIB);
    }
}

static void test_a_restart_begins_anew(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct mw_leak leak = {.bins = {.may_fall = !known}};
        struct mw_judgement judgement;

        feed_a_fall(&leak, known);
        mw_leak_judge(&leak, 20000, 300, &judgement);
        assert_int_equal(judgement.verdict, MW_VERDICT_LEAK);
        assert_true(judgement.since_s > 7900 && judgement.since_s < 9000);
        assert_near(judgement.slope, MIB / 60, .03 * MIB / 60);
    }
}

static void test_a_process_that_lives_on_is_not_restarted(void **state)
{
    struct mw_leak leak = {0};
    struct mw_judgement judgement;

    (void)state;
    feed_a_fall(&leak, false);
    mw_leak_judge(&leak, 20000, 300, &judgement);
    assert_near(judgement.observed_s, 20000, 1);
    assert_true(judgement.since_s < 1000);
}

static void test_a_program_that_ends_gives_its_memory_back(void **state)
{
    (void)state;
    for (int ends = 0; ends < 2; ends++) {
        struct mw_leak leak = {0};
        struct mw_judgement judgement;

        for (double t_s = 0; t_s < 2000; t_s++)
            mw_leak_feed(&leak, t_s, (200 + t_s / 20) * MIB);
        mw_leak_feed(&leak, 1999, MIB);
        if (ends)
            mw_leak_end(&leak, 2000);
        mw_leak_judge(&leak, 2000, 300, &judgement);
        assert_near(judgement.observed_s, ends ? 1998 : 2000, 1.9);
        if (ends)
            assert_int_equal(judgement.verdict, MW_VERDICT_LEAK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_course_has_its_verdict),
        cmocka_unit_test(test_units_do_not_change_a_verdict),
        cmocka_unit_test(test_the_slope_and_its_interval),
        cmocka_unit_test(test_the_start_of_late_growth_is_cut_off),
        cmocka_unit_test(test_when_a_limit_is_reached),
        cmocka_unit_test(test_teeth_take_headroom),
        cmocka_unit_test(test_it_does_not_matter_when_it_was_asked_or_what_was_repeated),
        cmocka_unit_test(test_growth_of_a_moment_ago_is_suspect_and_later_a_leak),
        cmocka_unit_test(test_too_little_is_insufficient),
        cmocka_unit_test(test_zeros_and_numbers_near_the_largest),
        cmocka_unit_test(test_growth_that_halted_is_told_as_that),
        cmocka_unit_test(test_growth_that_halted_long_ago_is_suspect),
        cmocka_unit_test(test_why_a_leak_is_not_certain),
        cmocka_unit_test(test_a_leak_in_noise_that_wanders_is_not_certain),
        cmocka_unit_test(test_a_restart_begins_anew),
        cmocka_unit_test(test_a_process_that_lives_on_is_not_restarted),
        cmocka_unit_test(test_a_program_that_ends_gives_its_memory_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
