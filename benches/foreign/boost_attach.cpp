// boost.interprocess' side of attaching: open a managed segment that another process has made.
//   boost_attach PROCESSOR NAME first|again|handle OPERATIONS SAMPLES
// first: in a new process each. again: by a process that had it open before. handle: the address of a block by its handle.
// Prints nanoseconds of one of them, a line for each sample.
#include <boost/interprocess/managed_shared_memory.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace interprocess = boost::interprocess;
using Segment = interprocess::managed_shared_memory;

static const long MARK = 0x5eed;

static double now(clockid_t clock)
{
    timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

struct Removed {
    const char *name;
    explicit Removed(const char *name) : name(name) { interprocess::shared_memory_object::remove(name); }
    ~Removed() { interprocess::shared_memory_object::remove(name); }
};

// In a process of its own; its exit code.
template <class Act> static int apart(Act act)
{
    pid_t child = fork();
    if (child == 0) {
        int code = act();
        std::fflush(stdout);
        _exit(code);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 2;
    return WEXITSTATUS(status);
}

static int made(const char *name)
{
    Segment segment(interprocess::create_only, name, 64 << 20);
    segment.construct<long>("mark")(MARK);
    return 0;
}

static int attached(const char *name)
{
    double start = now(CLOCK_MONOTONIC);
    Segment segment(interprocess::open_only, name);
    double time = now(CLOCK_MONOTONIC) - start;
    std::printf("%.3f\n", time);
    return *segment.find<long>("mark").first == MARK ? 0 : 3;
}

static int opened(const char *name, long operations, long samples)
{
    Segment segment(interprocess::open_only, name);
    auto handle = segment.get_handle_from_address(segment.find<long>("mark").first);
    for (long sample = 0; sample < samples; sample++) {
        double start = now(CLOCK_THREAD_CPUTIME_ID);
        for (long operation = 0; operation < operations; operation++) {
            asm volatile("" : "+r"(handle));
            void *block = segment.get_address_from_handle(handle);
            asm volatile("" : : "r"(block) : "memory");
        }
        std::printf("%.3f\n", (now(CLOCK_THREAD_CPUTIME_ID) - start) / operations);
    }
    return *static_cast<long *>(segment.get_address_from_handle(handle)) == MARK ? 0 : 3;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(std::atoi(argv[1]), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        return 2;
    const char *name = argv[2], *what = argv[3];
    long operations = std::atol(argv[4]), samples = std::atol(argv[5]);
    Removed removed(name);
    int code = apart([&] { return made(name); });
    if (std::strcmp(what, "first") == 0) {
        for (long sample = 0; code == 0 && sample < samples; sample++)
            code = apart([&] { return attached(name); });
    } else if (std::strcmp(what, "again") == 0 && code == 0) {
        Segment(interprocess::open_only, name);
        for (long sample = 0; code == 0 && sample < samples; sample++)
            code = attached(name);
    } else if (code == 0) {
        code = opened(name, operations, samples);
    }
    return code;
}
