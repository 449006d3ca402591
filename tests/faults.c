/* Makes one call of the C library fail, for tests/faults.py: the n-th open, write, fsync, rename, close or mkdir on
   anything in one folder. Loaded by LD_PRELOAD, steered by arm(). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { OPEN, WRITE, FSYNC, RENAME, CLOSE, MKDIR, KINDS };

static char folder[4096];
static int kind = -1, countdown, error_number, seen[KINDS];
static char ours[65536];

void arm(const char *where, int which, int number, int error) {
    strncpy(folder, where, sizeof folder - 1);
    kind = which, countdown = number, error_number = error;
    memset(seen, 0, sizeof seen);
}

int calls(int which) { return seen[which]; }

static int fails(int which) {
    seen[which]++;
    if (which == kind && countdown > 0 && --countdown == 0) { errno = error_number; return 1; }
    return 0;
}

static int inside(const char *path) { return folder[0] && path && strncmp(path, folder, strlen(folder)) == 0; }
static int known(int fd) { return fd >= 0 && fd < (int)sizeof ours && ours[fd]; }
static int keep(const char *path, int fd) {
    if (fd >= 0 && fd < (int)sizeof ours) ours[fd] = inside(path);
    return fd;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name)
#define MODE(flags) va_list rest; va_start(rest, flags); mode_t mode = (flags) & O_CREAT ? va_arg(rest, mode_t) : 0; va_end(rest)

int open(const char *path, int flags, ...) {
    MODE(flags); REAL(int, "open", const char *, int, ...);
    return inside(path) && fails(OPEN) ? -1 : keep(path, real(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    MODE(flags); REAL(int, "open64", const char *, int, ...);
    return inside(path) && fails(OPEN) ? -1 : keep(path, real(path, flags, mode));
}
int openat(int at, const char *path, int flags, ...) {
    MODE(flags); REAL(int, "openat", int, const char *, int, ...);
    return inside(path) && fails(OPEN) ? -1 : keep(path, real(at, path, flags, mode));
}
int openat64(int at, const char *path, int flags, ...) {
    MODE(flags); REAL(int, "openat64", int, const char *, int, ...);
    return inside(path) && fails(OPEN) ? -1 : keep(path, real(at, path, flags, mode));
}
ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return known(fd) && fails(WRITE) ? -1 : real(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return known(fd) && fails(WRITE) ? -1 : real(fd, parts, count);
}
int fsync(int fd) {
    REAL(int, "fsync", int);
    return known(fd) && fails(FSYNC) ? -1 : real(fd);
}
int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return inside(from) && fails(RENAME) ? -1 : real(from, to);
}
int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return inside(path) && fails(MKDIR) ? -1 : real(path, mode);
}
int close(int fd) {
    REAL(int, "close", int);
    int failed = known(fd) && fails(CLOSE), number = errno;
    if (fd >= 0 && fd < (int)sizeof ours) ours[fd] = 0;
    int done = real(fd);  /* the descriptor is gone even where close reports an error */
    if (failed) errno = number;
    return failed ? -1 : done;
}
