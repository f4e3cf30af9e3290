// Programs: the operations of a network in one call, on a team of threads that lives as long as the call.
#ifndef AXIAL_PROGRAM_H
#define AXIAL_PROGRAM_H

#include <sched.h>

#include "attention2d.h"
#include "forward.h"
#include "strips.h"
#include "tokens.h"

namespace {

// Threads that wait for the next operation between two operations.
class Team {
  public:
    Team(int threads) {
        threads = static_cast<int>(least(threads, MOST + 1));
        while (count < threads - 1 && pthread_create(&others[count], nullptr, follow, this) == 0) ++count;
        current() = this;
    }

    ~Team() {
        body_ = nullptr;
        start();
        for (int i = 0; i < count; ++i) pthread_join(others[i], nullptr);
        current() = nullptr;
    }

    // An AxialParallel on the team of the calling thread.
    static void parallel(void (*body)(void*), void* data, unsigned, unsigned) {
        Team& team = *current();
        team.body_ = body, team.data_ = data;
        __atomic_store_n(&team.running, team.count, __ATOMIC_RELAXED);
        team.start();
        body(data);
        while (__atomic_load_n(&team.running, __ATOMIC_ACQUIRE) > 0) sched_yield();
    }

    int size() const { return count + 1; }

  private:
    static Team*& current() {
        static thread_local Team* team = nullptr;
        return team;
    }

    void start() { __atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE); }

    static void* follow(void* data) {
        Team& team = *static_cast<Team*>(data);
        for (int64_t done = 0;; ++done) {
            for (int64_t spins = 0; __atomic_load_n(&team.generation, __ATOMIC_ACQUIRE) == done; ++spins) {
                if (spins > 1000) sched_yield();
            }
            if (team.body_ == nullptr) return nullptr;
            team.body_(team.data_);
            __atomic_fetch_sub(&team.running, 1, __ATOMIC_RELEASE);
        }
    }

    static constexpr int MOST = 63;
    pthread_t others[MOST];
    int count = 0;
    int64_t generation = 0, running = 0;
    void (*body_)(void*) = nullptr;
    void* data_ = nullptr;
};

inline int run_step(AxialStep* a, int threads, AxialParallel parallel, bool timed) {
    const int64_t lines = a->batch * a->height;
    Resize resize{a, false};
    switch (a->kind) {
        case AXIAL_CONVOLUTION: return convolution(a, threads, parallel);
        case AXIAL_ATTENTION: return forward(a->attention, threads, parallel);
        case AXIAL_DEPTHWISE: in_parallel(depthwise_piece, a, lines, threads, parallel); return 0;
        case AXIAL_MAX_POOL:
        case AXIAL_AVERAGE_POOL: in_parallel(pool_piece, a, lines, threads, parallel); return 0;
        case AXIAL_MEAN: in_parallel(mean_piece, a, a->batch * divide_up(a->outputs, LANES), threads, parallel); return 0;
        case AXIAL_RESIZE: in_parallel(resize_piece, &resize, lines, threads, parallel); return resize.failed ? 1 : 0;
        case AXIAL_SUM:
        case AXIAL_SCALE: in_parallel(sum_piece, a, lines, threads, parallel); return 0;
        case AXIAL_ATTENTION_2D: return attention2d(a, threads, parallel);
        case AXIAL_LAYER_NORM:
        case AXIAL_UNIT_NORM: in_parallel(norm_piece, a, lines, threads, parallel); return 0;
        case AXIAL_TOKEN_PRODUCT: return product_with_tokens(a, threads, parallel);
        case AXIAL_CLUSTER_SUMS: return clusters(a, threads, parallel);
        case AXIAL_STRIPS: return run_strips(a->strips, threads, parallel, timed);
        default: return 3;
    }
}

inline int run_steps(const AxialProgram* program, int threads, AxialParallel parallel) {
    for (int64_t i = 0; i < program->count; ++i) {
        const double begin = program->timed ? now() : 0.0;
        const int code = run_step(&program->steps[i], threads, parallel, program->timed != 0);
        if (code != 0) return code;
        if (program->timed) program->steps[i].seconds = now() - begin;
    }
    return 0;
}

inline int program(const AxialProgram* a, int threads, AxialParallel parallel) {
    if (threads <= 1 || parallel != nullptr) return run_steps(a, threads, parallel);
    Team team(threads);
    return team.size() == 1 ? run_steps(a, 1, nullptr) : run_steps(a, team.size(), Team::parallel);
}

}  // namespace
#endif
