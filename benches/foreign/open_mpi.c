/* Open MPI's side of the benchmarks, two ranks:
 *   open_mpi PROCESSOR0 PROCESSOR1 trip|burst|allreduce|barrier BYTES OPERATIONS SAMPLES
 * Rank 0 prints nanoseconds for one operation, a line for each sample. Every message carries its number at both ends,
 * and a wrong one ends the run. */
#define _GNU_SOURCE
#include <mpi.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG = 1 };

static char *buffer;
static int bytes;

static void mark(uint64_t number)
{
    memcpy(buffer, &number, sizeof number);
    memcpy(buffer + bytes - sizeof number, &number, sizeof number);
}

static void check(uint64_t number)
{
    uint64_t first, last;
    memcpy(&first, buffer, sizeof first);
    memcpy(&last, buffer + bytes - sizeof last, sizeof last);
    if (first != number || last != number) {
        fprintf(stderr, "message %llu arrived as %llu\n", (unsigned long long)number, (unsigned long long)first);
        MPI_Abort(MPI_COMM_WORLD, 3);
    }
}

static void send_to(int rank) { MPI_Send(buffer, bytes, MPI_BYTE, rank, TAG, MPI_COMM_WORLD); }
static void receive_from(int rank) { MPI_Recv(buffer, bytes, MPI_BYTE, rank, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE); }

static void trip(int rank, uint64_t number)
{
    if (rank == 0) {
        mark(number);
        send_to(1);
        mark(~number);
        receive_from(1);
        check(number);
    } else {
        receive_from(0);
        send_to(0);
    }
}

/* Rank 0, which takes the time, receives. */
static void burst(int rank, uint64_t number)
{
    if (rank == 0) {
        receive_from(1);
        check(number);
    } else {
        mark(number);
        send_to(0);
    }
}

/* Both ranks count alike. */
static void allreduce(int rank, uint64_t number)
{
    uint64_t given = number + rank, sum;
    MPI_Allreduce(&given, &sum, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    if (sum != 2 * number + 1) {
        fprintf(stderr, "%llu came to %llu\n", (unsigned long long)number, (unsigned long long)sum);
        MPI_Abort(MPI_COMM_WORLD, 3);
    }
}

static void barrier(int rank, uint64_t number)
{
    (void)rank;
    (void)number;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void (*named(const char *name))(int, uint64_t)
{
    if (strcmp(name, "trip") == 0)
        return trip;
    if (strcmp(name, "allreduce") == 0)
        return allreduce;
    return strcmp(name, "barrier") == 0 ? barrier : burst;
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (argc != 7)
        MPI_Abort(MPI_COMM_WORLD, 2);
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[1 + rank]), &set);
    if (ranks != 2 || sched_setaffinity(0, sizeof set, &set) != 0)
        MPI_Abort(MPI_COMM_WORLD, 2);
    void (*act)(int, uint64_t) = named(argv[3]);
    bytes = atoi(argv[4]);
    long operations = atol(argv[5]), samples = atol(argv[6]);
    buffer = calloc(1, bytes);
    uint64_t number = 1;
    /* The first sample warms up. */
    for (long sample = 0; sample <= samples; sample++) {
        double start = MPI_Wtime();
        for (long operation = 0; operation < operations; operation++)
            act(rank, number++);
        double seconds = MPI_Wtime() - start;
        if (rank == 0 && sample > 0)
            printf("%.3f\n", seconds * 1e9 / operations);
    }
    MPI_Finalize();
    return 0;
}
