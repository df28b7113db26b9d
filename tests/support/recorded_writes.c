// SPDX-License-Identifier: Apache-2.0
// A library to preload: notes every change of the files of one folder, and every flush of them, in
// the order in which they were asked for. Each note is a line "what offset length name", and after
// that as many octets as it says. The program has one thread.
//   RECORD_FOLDER=/folder RECORD_TO=/elsewhere/notes LD_PRELOAD=./recorded_writes.so program

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int notes = -1;

// The name of a path below the folder; NULL for any other path.
static const char* within(const char* path)
{
    const char* folder = getenv("RECORD_FOLDER");
    const size_t length = folder ? strlen(folder) : 0;
    if (length == 0 || strncmp(path, folder, length) != 0) return NULL;
    return path[length] == '/' ? path + length + 1 : path[length] == 0 ? "." : NULL;
}

static void note(const char* what, const char* path, off_t offset, const void* data, size_t length)
{
    const char* name = within(path);
    if (name == NULL) return;
    if (notes < 0) notes = open(getenv("RECORD_TO"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    char line[PATH_MAX + 64];
    const int written =
        snprintf(line, sizeof line, "%s %lld %zu %s\n", what, (long long)offset, length, name);
    if (NEXT(write)(notes, line, (size_t)written) != written ||
        NEXT(write)(notes, data, length) != (ssize_t)length)
        abort();
}

static void note_open(const char* what, int file, off_t offset, const void* data, size_t length)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t found = readlink(link, path, sizeof path - 1);
    if (found < 0) return;
    path[found] = 0;
    note(what, path, offset, data, length);
}

ssize_t pwrite64(int file, const void* data, size_t length, off64_t offset)
{
    const ssize_t done = NEXT(pwrite64)(file, data, length, offset);
    if (done > 0) note_open("write", file, offset, data, (size_t)done);
    return done;
}

ssize_t pwrite(int file, const void* data, size_t length, off_t offset)
{
    return pwrite64(file, data, length, offset);
}

ssize_t write(int file, const void* data, size_t length)
{
    const ssize_t done = NEXT(write)(file, data, length);
    if (done > 0) note_open("append", file, 0, data, (size_t)done);
    return done;
}

int ftruncate64(int file, off64_t length)
{
    const int done = NEXT(ftruncate64)(file, length);
    if (done == 0) note_open("truncate", file, length, "", 0);
    return done;
}

int ftruncate(int file, off_t length)
{
    return ftruncate64(file, length);
}

int fsync(int file)
{
    const int done = NEXT(fsync)(file);
    if (done == 0) note_open("flush", file, 0, "", 0);
    return done;
}

int fdatasync(int file)
{
    const int done = NEXT(fdatasync)(file);
    if (done == 0) note_open("flush", file, 0, "", 0);
    return done;
}

int unlink(const char* path)
{
    const int done = NEXT(unlink)(path);
    if (done == 0) note("unlink", path, 0, "", 0);
    return done;
}
