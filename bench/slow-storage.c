/*
 * Storage that answers late: 1 ms for each open and each read of a file below the directory that PBMANIFEST_BENCH_SLOW
 * names. For LD_PRELOAD; `npm run bench -- --only=slow` compiles it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 65536

static unsigned char is_slow[MAX_DESCRIPTORS];

static void
wait_1_ms(void)
{
	struct timespec delay = {0, 1000000};

	nanosleep(&delay, NULL);
}

static int
is_below(const char *path)
{
	const char *directory = getenv("PBMANIFEST_BENCH_SLOW");

	return directory != NULL && strncmp(path, directory, strlen(directory)) == 0;
}

static int
opened(const char *path, int descriptor)
{
	int			slow = is_below(path);

	if (slow)
		wait_1_ms();
	if (descriptor >= 0 && descriptor < MAX_DESCRIPTORS)
		is_slow[descriptor] = slow;
	return descriptor;
}

/* Closing is not seen, so the number may be that of a socket by now; what opens a file is seen. */
static void
before_read(int descriptor)
{
	struct stat status;

	if (descriptor >= 0 && descriptor < MAX_DESCRIPTORS && is_slow[descriptor] &&
		fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode))
		wait_1_ms();
}

#define NEXT(result, name, ...) \
	static result (*next) (__VA_ARGS__); \
	if (next == NULL) \
		next = (result (*) (__VA_ARGS__)) dlsym(RTLD_NEXT, name)

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		va_list		arguments; \
		mode_t		mode; \
		NEXT(int, #name, const char *, int, ...); \
		va_start(arguments, flags); \
		mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0; \
		va_end(arguments); \
		return opened(path, next(path, flags, mode)); \
	}

#define OPEN_2(name) \
	int name(const char *path, int flags) \
	{ \
		NEXT(int, #name, const char *, int); \
		return opened(path, next(path, flags)); \
	}

#define READ_AT(name) \
	ssize_t name(int descriptor, void *buffer, size_t length, off_t offset) \
	{ \
		NEXT(ssize_t, #name, int, void *, size_t, off_t); \
		before_read(descriptor); \
		return next(descriptor, buffer, length, offset); \
	}

OPEN(open)
OPEN(open64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
READ_AT(pread)
READ_AT(pread64)

ssize_t
read(int descriptor, void *buffer, size_t length)
{
	NEXT(ssize_t, "read", int, void *, size_t);
	before_read(descriptor);
	return next(descriptor, buffer, length);
}

ssize_t
readv(int descriptor, const struct iovec *pieces, int count)
{
	NEXT(ssize_t, "readv", int, const struct iovec *, int);
	before_read(descriptor);
	return next(descriptor, pieces, count);
}
