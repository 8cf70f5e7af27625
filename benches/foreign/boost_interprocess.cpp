// boost.interprocess' side of the benchmarks: allocate and free at once in shared memory, in one process.
//   boost_interprocess PROCESSOR NAME BYTES OPERATIONS SAMPLES
// Prints nanoseconds of processor time for one allocation and one free, a line for each sample.
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/version.hpp>
#include <cstdio>
#include <cstdlib>
#include <sched.h>
#include <time.h>

namespace interprocess = boost::interprocess;

static double processor_time()
{
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

struct Removed {
    const char *name;
    explicit Removed(const char *name) : name(name) { interprocess::shared_memory_object::remove(name); }
    ~Removed() { interprocess::shared_memory_object::remove(name); }
};

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(std::atoi(argv[1]), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        return 2;
    long bytes = std::atol(argv[3]), operations = std::atol(argv[4]), samples = std::atol(argv[5]);
    Removed removed(argv[2]);
    interprocess::managed_shared_memory memory(interprocess::create_only, argv[2], 64 << 20);
    auto free_before = memory.get_free_memory();
    // The first sample warms up.
    for (long sample = 0; sample <= samples; sample++) {
        double start = processor_time();
        for (long operation = 0; operation < operations; operation++) {
            void *block = memory.allocate(bytes);
            asm volatile("" : : "r"(block) : "memory");
            memory.deallocate(block);
        }
        double time = processor_time() - start;
        if (sample > 0)
            std::printf("%.3f\n", time / operations);
    }
    return memory.get_free_memory() == free_before ? 0 : 3;
}
