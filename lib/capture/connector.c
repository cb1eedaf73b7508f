#include "capture/connector.h"

#include "util/array.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for some thousand events, where the kernel allows so much. */
enum { BUFFER_BYTES = 4 << 20 };
/* The events taken at a time, so that a machine that forks all the time does not hold us up. */
enum { MOST_EVENTS = 4096 };

/*
 * A message is a struct nlmsghdr, a struct cn_msg and what that carries: from the kernel a struct
 * proc_event, which newer ones make longer; to it an operation.
 */
enum { CARRIED = NLMSG_HDRLEN + sizeof(struct cn_msg), MOST_BYTES = 512 };

struct mw_connector {
    int socket_fd;
    struct mw_task_event *events;
    size_t event_count, event_room;
    uint64_t lost;
};

/* Lets the kernel keep back what is not wanted: there are many other events. */
static int filter_events(int socket_fd, bool exits_only)
{
    enum { KIND_OFFSET = CARRIED + offsetof(struct proc_event, what) };
    /* A comparison that is true jumps over what is left, to the line that takes the message. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, KIND_OFFSET),
        BPF_JUMP(BPF_JMP | BPF_JEQ, htonl(PROC_EVENT_EXIT), 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ, htonl(PROC_EVENT_NONE), 3, 0), /* the answer to our request */
        BPF_JUMP(BPF_JMP | BPF_JEQ, htonl(exits_only ? PROC_EVENT_NONE : PROC_EVENT_FORK), 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ, htonl(exits_only ? PROC_EVENT_NONE : PROC_EVENT_EXEC), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, MOST_BYTES),
    };
    struct sock_fprog program = {.len = MW_COUNT(filter), .filter = filter};

    return setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static void enlarge_buffer(int socket_fd)
{
    int size = BUFFER_BYTES;

    if (setsockopt(socket_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(socket_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static int request_events(int socket_fd)
{
    const uint32_t operation = PROC_CN_MCAST_LISTEN;
    const struct cn_msg connector = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof operation};
    char request[CARRIED + sizeof operation];
    const struct nlmsghdr header = {.nlmsg_len = sizeof request, .nlmsg_type = NLMSG_DONE};

    memcpy(request, &header, sizeof header);
    memcpy(request + NLMSG_HDRLEN, &connector, sizeof connector);
    memcpy(request + CARRIED, &operation, sizeof operation);
    return send(socket_fd, request, sizeof request, 0) < 0 ? -errno : 0;
}

/* Receives an event from the kernel: 1, 0 when there is none, or a negative errno. */
static int receive(int socket_fd, struct proc_event *ret_event)
{
    for (;;) {
        char message[MOST_BYTES];
        struct sockaddr_nl sender = {0};
        socklen_t sender_size = sizeof sender;
        ssize_t length = recvfrom(socket_fd, message, sizeof message, MSG_DONTWAIT,
                                  (struct sockaddr *)&sender, &sender_size);
        size_t size;

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (sender.nl_pid != 0 || length < CARRIED)
            continue; /* another process's, or none of these */
        size = (size_t)length - CARRIED;
        memset(ret_event, 0, sizeof *ret_event);
        memcpy(ret_event, message + CARRIED, size < sizeof *ret_event ? size : sizeof *ret_event);
        return 1;
    }
}

/* The kernel answers at once, unless it tells nothing in this namespace. */
static int hear_answer(int socket_fd)
{
    struct proc_event event;
    int code;

    while ((code = receive(socket_fd, &event)) > 0) {
        if (event.what == PROC_EVENT_NONE)
            return -(int)event.event_data.ack.err;
    }
    return code < 0 ? code : -ENOTSUP;
}

static int listen_to_kernel(int socket_fd, bool exits_only)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    int code;

    enlarge_buffer(socket_fd);
    if (filter_events(socket_fd, exits_only) < 0 ||
        bind(socket_fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    if ((code = request_events(socket_fd)) < 0)
        return code;
    return hear_answer(socket_fd);
}

int mw_connector_open(struct mw_connector **ret_connector, bool exits_only, struct mw_error *error)
{
    struct mw_connector *connector = calloc(1, sizeof *connector);
    int code;

    if (!connector)
        return mw_error_errno(error, ENOMEM, "cannot track processes");
    connector->socket_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
    code = connector->socket_fd < 0 ? -errno : listen_to_kernel(connector->socket_fd, exits_only);
    if (code < 0) {
        mw_connector_close(connector);
        return mw_error_errno(error, -code, "the kernel's proc connector");
    }
    *ret_connector = connector;
    return 0;
}

void mw_connector_close(struct mw_connector *connector)
{
    if (!connector)
        return;
    if (connector->socket_fd >= 0)
        close(connector->socket_fd);
    free(connector->events);
    free(connector);
}

int mw_connector_fd(const struct mw_connector *connector)
{
    return connector->socket_fd;
}

/* False for an event that is of no interest. */
static bool read_event(const struct proc_event *event, struct mw_task_event *ret_task)
{
    struct mw_task_event task = {.t_ns = (int64_t)event->timestamp_ns, .wait_status = -1};

    switch (event->what) {
    case PROC_EVENT_FORK:
        task.kind = MW_TASK_FORK;
        task.pid = event->event_data.fork.child_tgid;
        task.tid = event->event_data.fork.child_pid;
        task.ppid = event->event_data.fork.parent_tgid;
        break;
    case PROC_EVENT_EXEC:
        task.kind = MW_TASK_EXEC;
        task.pid = event->event_data.exec.process_tgid;
        task.tid = event->event_data.exec.process_pid;
        break;
    case PROC_EVENT_EXIT:
        task.kind = MW_TASK_EXIT;
        task.pid = event->event_data.exit.process_tgid;
        task.tid = event->event_data.exit.process_pid;
        task.wait_status = (int)(event->event_data.exit.exit_code & UINT16_MAX);
        break;
    default:
        return false;
    }
    *ret_task = task;
    return true;
}

size_t mw_connector_take(struct mw_connector *connector, const struct mw_task_event **ret_events)
{
    struct proc_event event;
    int code;

    connector->event_count = 0;
    while (connector->event_count < MOST_EVENTS &&
           (code = receive(connector->socket_fd, &event)) != 0) {
        if (code < 0)
            connector->lost++;
        if (code == -ENOBUFS) /* the kernel had no room to keep some */
            continue;
        if (code < 0)
            break;
        if (!mw_array_reserve(&connector->events, connector->event_count, &connector->event_room,
                              sizeof *connector->events)) {
            connector->lost++;
            break;
        }
        connector->event_count += read_event(&event, &connector->events[connector->event_count]);
    }
    *ret_events = connector->events;
    return connector->event_count;
}

uint64_t mw_connector_lost(const struct mw_connector *connector)
{
    return connector->lost;
}
