#include "store/file.h"

#include "util/array.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* SQLite locks bytes around 1 GiB; no file of ours reaches this one. */
static struct flock recorder_lock(short type)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)1 << 60, .l_len = 1};
}

static int open_regular(const char *path)
{
    /* O_NONBLOCK: opening a FIFO must not wait for somebody to write into it. */
    mw_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return -1;
    return mw_take_fd(&fd);
}

bool mw_file_is_memwatch(const char *path)
{
    /* https://www.sqlite.org/fileformat.html: the application id is at offset 68, big-endian. */
    static const char magic[16] = "SQLite format 3";
    unsigned char header[72];
    mw_auto_fd int fd = open_regular(path);

    return fd >= 0 && pread(fd, header, sizeof header, 0) == sizeof header &&
           memcmp(header, magic, sizeof magic) == 0 && memcmp(header + 68, "mwch", 4) == 0;
}

bool mw_file_is_recording(const char *path)
{
    mw_auto_fd int fd = open_regular(path);
    struct flock lock = recorder_lock(F_WRLCK);

    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int mw_file_lock(int fd)
{
    struct flock lock = recorder_lock(F_WRLCK);

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

bool mw_file_is_remote(int fd)
{
    static const unsigned long types[] = {NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
                                          SMB2_SUPER_MAGIC, V9FS_MAGIC,       CEPH_SUPER_MAGIC,
                                          AFS_SUPER_MAGIC,  CODA_SUPER_MAGIC, FUSE_SUPER_MAGIC};
    struct statfs status;

    if (fstatfs(fd, &status) < 0)
        return false;
    for (size_t i = 0; i < MW_COUNT(types); i++) {
        if ((unsigned long)status.f_type == types[i])
            return true;
    }
    return false;
}
