// Counts the system calls by which a process changes what lies under one folder, and makes one of them its last, or lets all from one on fail.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, FULL, READ_ONLY };
static char root[4096];
static long at, calls;
static int action;

void inject(const char *folder, long call, int what) {
  strncpy(root, folder, sizeof root - 1);
  at = call, calls = 0, action = what;
}
long injected(void) { return calls; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int inside(const char *path) { return root[0] && !strncmp(path, root, strlen(root)); }
static int fd_inside(int fd) {
  char link[64], path[4096];
  if (!root[0]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return inside(path);
}
static int at_inside(int fd, const char *path) {
  char here[4096];
  if (path[0] == '/') return inside(path);
  if (fd != AT_FDCWD) return fd_inside(fd);
  return root[0] && getcwd(here, sizeof here) && inside(here);
}
// 1 where the call has to fail: with `grows` for lack of room, with `alters` since nothing may be changed
static int hit(int grows, int alters) {
  calls++;
  if (action == KILL && calls == at) kill(getpid(), SIGKILL);
  if (action == FULL && calls >= at && grows) return errno = ENOSPC, 1;
  if (action == READ_ONLY && calls >= at && alters) return errno = EROFS, 1;
  return 0;
}
static int opens(int flags) { return flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC); }

#define OPEN(name)                                                   \
  int name(const char *path, int flags, ...) {                       \
    va_list more;                                                    \
    va_start(more, flags);                                           \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                    \
    if (opens(flags) && at_inside(AT_FDCWD, path) && hit(flags & O_CREAT, 1)) return -1; \
    return REAL(name)(path, flags, mode);                            \
  }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                 \
  int name(int fd, const char *path, int flags, ...) {               \
    va_list more;                                                    \
    va_start(more, flags);                                           \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                    \
    if (opens(flags) && at_inside(fd, path) && hit(flags & O_CREAT, 1)) return -1; \
    return REAL(name)(fd, path, flags, mode);                        \
  }
OPENAT(openat)
OPENAT(openat64)
#define FOPEN(name)                                                  \
  FILE *name(const char *path, const char *mode) {                   \
    if (strpbrk(mode, "wa+") && at_inside(AT_FDCWD, path) && hit(1, 1)) return NULL; \
    return REAL(name)(path, mode);                                   \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int fd, const void *data, size_t size) {
  if (fd_inside(fd)) {
    if (action == KILL && calls + 1 == at) REAL(write)(fd, data, size / 2);  // torn
    if (hit(1, 0)) return -1;
  }
  return REAL(write)(fd, data, size);
}
#define FD(type, name, parameters, arguments, grows) \
  type name parameters {                             \
    if (fd_inside(fd) && hit(grows, 0)) return -1;   \
    return REAL(name) arguments;                     \
  }
FD(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t place), (fd, data, size, place), 1)
FD(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t place), (fd, data, size, place), 1)
FD(ssize_t, writev, (int fd, const struct iovec *data, int count), (fd, data, count), 1)
FD(int, fsync, (int fd), (fd), 1)
FD(int, fdatasync, (int fd), (fd), 1)
FD(int, ftruncate, (int fd, off_t size), (fd, size), 0)
FD(int, ftruncate64, (int fd, off64_t size), (fd, size), 0)
extern ssize_t sendfile(int, int, off_t *, size_t);
extern ssize_t sendfile64(int, int, off64_t *, size_t);
FD(ssize_t, sendfile, (int fd, int from, off_t *place, size_t size), (fd, from, place, size), 1)
FD(ssize_t, sendfile64, (int fd, int from, off64_t *place, size_t size), (fd, from, place, size), 1)

#define PATH(name, parameters, arguments, where, path, grows) \
  int name parameters {                                       \
    if (at_inside(where, path) && hit(grows, 1)) return -1;   \
    return REAL(name) arguments;                              \
  }
PATH(rename, (const char *from, const char *to), (from, to), AT_FDCWD, to, 0)
PATH(renameat, (int fd, const char *from, int fd2, const char *to), (fd, from, fd2, to), fd2, to, 0)
PATH(renameat2, (int fd, const char *from, int fd2, const char *to, unsigned flags), (fd, from, fd2, to, flags), fd2, to, 0)
PATH(unlink, (const char *path), (path), AT_FDCWD, path, 0)
PATH(unlinkat, (int fd, const char *path, int flags), (fd, path, flags), fd, path, 0)
PATH(rmdir, (const char *path), (path), AT_FDCWD, path, 0)
PATH(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, 1)
PATH(mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), fd, path, 1)
PATH(link, (const char *from, const char *to), (from, to), AT_FDCWD, to, 1)
PATH(symlink, (const char *from, const char *to), (from, to), AT_FDCWD, to, 1)
