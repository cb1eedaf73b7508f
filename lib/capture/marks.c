#include "capture/marks.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "memwatch.h"
#include "util/array.h"
#include "util/cleanup.h"

#include <stdio.h>

/* So much may come and go in a time in which nobody sees: see highwater.h. */
enum { UNSEEN_KIB_PER_US = 32 };
/* Names in the text begin at multiples of it. */
enum { TEXT_ALIGNMENT = 8 };

struct mw_marks {
    struct memwatch_channel_ *channel;
    char *path;
    int fd;
    struct mw_mark *marks;
    size_t mark_count;
    struct mw_mark_site *sites[MEMWATCH_TEXT_ / TEXT_ALIGNMENT]; /* by their place in the text */
    struct mw_mark_site nameless;
    uint64_t text_read; /* bytes of names */
    int64_t now_ns;     /* of the present taking */
    int64_t checked_ns; /* when it was last looked who has ended */
    uint64_t invalid;   /* marks that made no sense, or of rings that were overwritten */
    uint64_t shares[MEMWATCH_LANES_]; /* how many marks to take out of each ring */
};

/* --- the file --------------------------------------------------------------------------------- */

/* A file without a name whose size nobody can change: 0 or a negative errno. */
static int make_file(struct mw_marks *marks)
{
    marks->fd = memfd_create("memwatch-marks", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (marks->fd < 0 || ftruncate(marks->fd, sizeof(struct memwatch_channel_)) < 0 ||
        fchmod(marks->fd, 0600) < 0 ||
        fcntl(marks->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
        asprintf(&marks->path, "/proc/%d/fd/%d", (int)getpid(), marks->fd) < 0)
        return errno ? -errno : -ENOMEM;
    return 0;
}

static int map_file(struct mw_marks *marks, bool resets)
{
    struct memwatch_channel_ *channel =
        mmap(NULL, sizeof *channel, PROT_READ | PROT_WRITE, MAP_SHARED, marks->fd, 0);

    if (channel == MAP_FAILED)
        return -errno;
    marks->channel = channel;
    channel->version = MEMWATCH_VERSION_;
    channel->size_kib = (uint32_t)(sizeof *channel / 1024);
    channel->reads_memory = 1;
    channel->resets = resets;
    channel->text_used = 8; /* a place of 0 or 1 means none */
    memcpy(channel->magic, MEMWATCH_MAGIC_, sizeof channel->magic);
    return 0;
}

int mw_marks_open(struct mw_marks **ret_marks, bool resets, struct mw_error *error)
{
    struct mw_marks *marks = calloc(1, sizeof *marks);
    int code;

    if (!marks)
        return mw_error_errno(error, ENOMEM, "cannot take marks");
    marks->fd = -1;
    marks->nameless.name = "(no room for more names)";
    marks->marks = calloc(MW_MARKS_AT_ONCE, sizeof *marks->marks);
    code = marks->marks ? make_file(marks) : -ENOMEM;
    if (code == 0)
        code = map_file(marks, resets);
    if (code < 0) {
        mw_marks_close(marks);
        return mw_error_errno(error, -code, "cannot take marks of functions");
    }
    *ret_marks = marks;
    return 0;
}

void mw_marks_close(struct mw_marks *marks)
{
    if (!marks)
        return;
    if (marks->channel) {
        __atomic_store_n(&marks->channel->closed, 1, __ATOMIC_RELEASE);
        munmap(marks->channel, sizeof *marks->channel);
    }
    if (marks->fd >= 0)
        close(marks->fd);
    free(marks->path);
    for (size_t i = 0; i < MW_COUNT(marks->sites); i++)
        free(marks->sites[i]);
    free(marks->marks);
    free(marks);
}

const char *mw_marks_path(const struct mw_marks *marks)
{
    return marks->path;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Copies a name out of the channel, where it could change. NULL when it is none. */
static struct mw_mark_site *read_site(struct mw_marks *marks, uint32_t place)
{
    const struct memwatch_channel_ *channel = marks->channel;
    struct memwatch_name_ entry;
    struct mw_mark_site *site;
    const char *text;
    char *copy;

    if (place > MEMWATCH_TEXT_ - sizeof entry)
        return NULL;
    memcpy(&entry, channel->text + place, sizeof entry);
    if ((uint64_t)entry.name_length + entry.file_length + 2 > MEMWATCH_TEXT_ - sizeof entry - place)
        return NULL;
    /* Names that lie over each other would be more than there is text. */
    marks->text_read += sizeof entry + entry.name_length + entry.file_length + 2;
    if (marks->text_read > MEMWATCH_TEXT_)
        return NULL;
    text = channel->text + place + sizeof entry;
    site = calloc(1, sizeof *site + entry.name_length + entry.file_length + 2);
    if (!site)
        return NULL;
    copy = (char *)(site + 1);
    memcpy(copy, text, entry.name_length);
    memcpy(copy + entry.name_length + 1, text + entry.name_length + 1, entry.file_length);
    site->name = copy;
    site->file = entry.file_length ? copy + entry.name_length + 1 : NULL;
    site->line = entry.line > INT_MAX ? 0 : (int)entry.line;
    return site;
}

/* NULL where there is none. */
static const struct mw_mark_site *find_site(struct mw_marks *marks, uint32_t place)
{
    struct mw_mark_site **site;

    if (place == 0)
        return &marks->nameless;
    if (place >= MEMWATCH_TEXT_ || place % TEXT_ALIGNMENT != 0)
        return NULL;
    site = &marks->sites[place / TEXT_ALIGNMENT];
    if (!*site)
        *site = read_site(marks, place);
    return *site;
}

/* --- marks ------------------------------------------------------------------------------------ */

static int64_t known_kib(uint32_t kib)
{
    return kib == MEMWATCH_UNREAD_ ? -1 : (int64_t)kib;
}

static void read_mark(struct mw_marks *marks, uint64_t owner, const struct memwatch_mark_ *raw)
{
    const struct mw_mark_site *site = find_site(marks, raw->name);

    if (!site || raw->kind > MEMWATCH_KIND_RESET_) {
        marks->invalid++;
        return;
    }
    marks->marks[marks->mark_count] = (struct mw_mark){
        .order = (uint32_t)marks->mark_count,
        .kind = (enum mw_mark_kind)raw->kind,
        .pid = (pid_t)(owner >> 32),
        .tid = (pid_t)(owner & UINT32_MAX),
        .track = raw->track,
        .t_ns = (int64_t)raw->t_ns,
        .site = site,
        .resident_kib = known_kib(raw->resident_kib),
        .window_kib = known_kib(raw->window_kib),
        .unseen_kib = (int64_t)raw->blind_us * UNSEEN_KIB_PER_US,
        .reset_ns = (int64_t)raw->t_ns + (raw->blind_us ? ((int64_t)raw->blind_us + 20) * 1000 : 0),
    };
    marks->mark_count++;
}

/* How many marks there are to take out of a ring. */
static uint64_t count_waiting(struct mw_marks *marks, struct memwatch_lane_ *lane)
{
    uint64_t head = __atomic_load_n(&lane->head, __ATOMIC_ACQUIRE);

    if (head - lane->tail <= MEMWATCH_SLOTS_)
        return head - lane->tail;
    marks->invalid += MEMWATCH_SLOTS_; /* its owner has written where it must not */
    __atomic_store_n(&lane->tail, head, __ATOMIC_RELEASE);
    return 0;
}

/*
 * What is marked after that has to wait: a call may be entered in one ring and left in another, so
 * no mark may overtake one that stays where it is because its ring has more than its share.
 */
static uint64_t find_horizon(struct mw_marks *marks, uint32_t lanes, uint64_t share)
{
    uint64_t horizon_ns = (uint64_t)marks->now_ns;

    for (uint32_t i = 0; i < lanes; i++) {
        struct memwatch_lane_ *lane = &marks->channel->lanes[i];
        uint64_t count = count_waiting(marks, lane);

        marks->shares[i] = count;
        if (count > share) {
            uint64_t next = (lane->tail + share) % MEMWATCH_SLOTS_;
            uint64_t t_ns = memwatch_slots_(marks->channel, lane)[next].t_ns;

            marks->shares[i] = share;
            horizon_ns = t_ns < horizon_ns ? t_ns : horizon_ns;
        }
    }
    return horizon_ns;
}

/* Takes up to count marks out of a ring, as far as the horizon. */
static void drain_lane(struct mw_marks *marks, struct memwatch_lane_ *lane, uint64_t owner,
                       uint64_t count, uint64_t horizon_ns)
{
    const struct memwatch_mark_ *slots = memwatch_slots_(marks->channel, lane);
    uint64_t taken;

    for (taken = 0; taken < count; taken++) {
        struct memwatch_mark_ raw = slots[(lane->tail + taken) % MEMWATCH_SLOTS_];

        if (raw.t_ns > horizon_ns && raw.t_ns <= (uint64_t)mw_now_ns())
            break;
        if (raw.t_ns > horizon_ns)
            marks->invalid++; /* of a time that is yet to come */
        else
            read_mark(marks, owner, &raw);
    }
    __atomic_store_n(&lane->tail, lane->tail + taken, __ATOMIC_RELEASE);
}

/* A ring whose owner has left is free once it is empty. */
static void give_back(struct memwatch_lane_ *lane)
{
    if (!__atomic_load_n(&lane->leaving, __ATOMIC_ACQUIRE) ||
        __atomic_load_n(&lane->head, __ATOMIC_ACQUIRE) != lane->tail)
        return;
    lane->leaving = 0;
    __atomic_store_n(&lane->owner, 0, __ATOMIC_RELEASE);
}

static int compare_times(const void *a, const void *b)
{
    const struct mw_mark *first = a, *second = b;

    if (first->t_ns != second->t_ns)
        return first->t_ns < second->t_ns ? -1 : 1;
    return (first->order > second->order) - (first->order < second->order);
}

static bool in_order(const struct mw_marks *marks)
{
    for (size_t i = 1; i < marks->mark_count; i++) {
        if (marks->marks[i].t_ns < marks->marks[i - 1].t_ns)
            return false;
    }
    return true;
}

/* How many rings there are to look at. */
static uint32_t lanes_used(const struct mw_marks *marks)
{
    uint32_t used = __atomic_load_n(&marks->channel->lanes_used, __ATOMIC_ACQUIRE);

    return used < MEMWATCH_LANES_ ? used : MEMWATCH_LANES_;
}

/* Threads that ended without giving their rings back: of processes that nobody follows, or by exec.
 */
static void look_for_ends(struct mw_marks *marks)
{
    static const int64_t pause_ns = 500000000;

    if (marks->now_ns - marks->checked_ns < pause_ns)
        return;
    marks->checked_ns = marks->now_ns;
    for (uint32_t i = 0; i < lanes_used(marks); i++) {
        struct memwatch_lane_ *lane = &marks->channel->lanes[i];
        uint64_t owner = __atomic_load_n(&lane->owner, __ATOMIC_ACQUIRE);

        if (owner != 0 && syscall(SYS_tgkill, owner >> 32, owner & UINT32_MAX, 0) < 0 &&
            errno == ESRCH)
            __atomic_store_n(&lane->leaving, 1, __ATOMIC_RELEASE);
    }
}

static void drain_lanes(struct mw_marks *marks, uint32_t lanes, uint64_t horizon_ns)
{
    for (uint32_t i = 0; i < lanes; i++) {
        struct memwatch_lane_ *lane = &marks->channel->lanes[i];
        uint64_t owner = __atomic_load_n(&lane->owner, __ATOMIC_ACQUIRE);

        if (owner == 0)
            continue;
        drain_lane(marks, lane, owner, marks->shares[i], horizon_ns);
        give_back(lane);
    }
}

size_t mw_marks_take(struct mw_marks *marks, const struct mw_mark **ret_marks)
{
    uint64_t horizon_ns;
    uint32_t lanes;

    marks->mark_count = 0;
    /* Before it is looked how many rings there are: what was marked until then in any is seen. */
    marks->now_ns = mw_now_ns();
    lanes = lanes_used(marks);
    look_for_ends(marks);
    /* Each gets a share: none is starved by one that never ends. */
    horizon_ns = find_horizon(marks, lanes, MW_MARKS_AT_ONCE / (lanes > 0 ? lanes : 1));
    drain_lanes(marks, lanes, horizon_ns);
    /* Times that make no sense hold up nobody. */
    if (marks->mark_count == 0 && horizon_ns < (uint64_t)marks->now_ns)
        drain_lanes(marks, lanes, (uint64_t)marks->now_ns);
    /* One ring is in order already; several mostly are not. */
    if (!in_order(marks))
        qsort(marks->marks, marks->mark_count, sizeof *marks->marks, compare_times);
    __atomic_fetch_add(&marks->channel->taken, marks->mark_count, __ATOMIC_RELAXED);
    *ret_marks = marks->marks;
    return marks->mark_count;
}

uint64_t mw_marks_waiting(const struct mw_marks *marks)
{
    uint64_t waiting = 0;

    for (uint32_t i = 0; i < lanes_used(marks); i++) {
        const struct memwatch_lane_ *lane = &marks->channel->lanes[i];
        uint64_t count = __atomic_load_n(&lane->head, __ATOMIC_ACQUIRE) - lane->tail;

        waiting += count < MEMWATCH_SLOTS_ ? count : MEMWATCH_SLOTS_;
    }
    return waiting;
}

void mw_marks_process_ended(struct mw_marks *marks, pid_t pid)
{
    struct mw_stat stat;

    if (mw_procfs_read_stat(pid, &stat) == 0 && !stat.exiting)
        return; /* another has the pid by now */
    for (uint32_t i = 0; i < lanes_used(marks); i++) {
        struct memwatch_lane_ *lane = &marks->channel->lanes[i];

        if ((pid_t)(__atomic_load_n(&lane->owner, __ATOMIC_ACQUIRE) >> 32) == pid)
            __atomic_store_n(&lane->leaving, 1, __ATOMIC_RELEASE);
    }
}

uint64_t mw_marks_lost(const struct mw_marks *marks)
{
    const uint64_t most = UINT64_C(1) << 40; /* nobody can have lost as many */
    uint64_t lost = __atomic_load_n(&marks->channel->lost, __ATOMIC_RELAXED) % most;

    for (uint32_t i = 0; i < lanes_used(marks); i++)
        lost += __atomic_load_n(&marks->channel->lanes[i].lost, __ATOMIC_RELAXED) % most;
    return lost + marks->invalid;
}

/* --- waking ----------------------------------------------------------------------------------- */

uint32_t mw_marks_wakes(const struct mw_marks *marks)
{
    return __atomic_load_n(&marks->channel->wake, __ATOMIC_ACQUIRE);
}

void mw_marks_wait(struct mw_marks *marks, uint32_t seen, int timeout_ms)
{
    struct timespec pause = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

    syscall(SYS_futex, &marks->channel->wake, FUTEX_WAIT, seen, timeout_ms < 0 ? NULL : &pause,
            NULL, 0);
}

void mw_marks_wake(struct mw_marks *marks)
{
    memwatch_wake_(marks->channel);
}
