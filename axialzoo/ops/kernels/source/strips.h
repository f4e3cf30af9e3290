// Operations of a program in strips of rows: all of them for some rows of their results, then for the next rows.
#ifndef AXIAL_STRIPS_H
#define AXIAL_STRIPS_H

#include <pthread.h>
#include <time.h>

#include "convolution.h"
#include "depthwise.h"
#include "maps.h"

namespace {

inline double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Computes rows `begin` to `end` of image n. Returns false without memory for it.
inline bool run_rows(const AxialStep& a, int64_t n, int64_t begin, int64_t end) {
    if (a.kind == AXIAL_CONVOLUTION) {
        Convolution f{&a, padding_of(a), 1, false};
        if (f.zeros == nullptr) return false;
        convolution_lines(f, n, begin, end);
        return !f.failed;
    }
    Resize resize{&a, false};
    for (int64_t line = n * a.height + begin; line < n * a.height + end; ++line) {
        switch (a.kind) {
            case AXIAL_DEPTHWISE: depthwise_piece(const_cast<AxialStep*>(&a), line); break;
            case AXIAL_RESIZE: resize_piece(&resize, line); break;
            case AXIAL_SUM:
            case AXIAL_SCALE: sum_piece(const_cast<AxialStep*>(&a), line); break;
            default: pool_piece(const_cast<AxialStep*>(&a), line);
        }
    }
    return !resize.failed;
}

struct Strips {
    const AxialStrips* a;
    int64_t pieces;  // of an image
    bool timed, failed;
};

inline void strips_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    Strips& f = *static_cast<Strips*>(data);
    const AxialStrips& a = *f.a;
    const int64_t n = index / f.pieces, piece = index % f.pieces;
    const int64_t first = a.strips * piece / f.pieces, last = a.strips * (piece + 1) / f.pieces;
    float* memory = scratch.floats(a.floats);
    if (memory == nullptr) {
        f.failed = true;
        return;
    }
    for (int64_t strip = first; strip < last; ++strip) {
        const int64_t* rows = a.rows + strip * a.count * 2;
        for (int64_t i = 0; i < a.count; ++i) {
            AxialStep step = a.steps[i];
            AxialMap* maps[] = {&step.x, &step.residual, &step.y};
            for (AxialMap* map : maps) {
                if (map->ring != 0) map->data = memory + (reinterpret_cast<intptr_t>(map->data) - 1) / 4, map->batch = 0;
            }
            const int64_t begin = strip > first ? most(rows[2 * i], rows[2 * (i - a.count) + 1]) : rows[2 * i], end = rows[2 * i + 1];
            const double start = f.timed ? now() : 0.0;
            if (begin < end && !run_rows(step, n, begin, end)) f.failed = true;
            if (f.timed) {
                pthread_mutex_lock(&lock);
                a.steps[i].seconds += now() - start;
                pthread_mutex_unlock(&lock);
            }
        }
    }
}

inline int run_strips(const AxialStrips* a, int threads, AxialParallel parallel, bool timed) {
    Strips f{a, least(a->strips, divide_up(most(1, threads), a->batch)), timed, false};
    for (int64_t i = 0; i < a->count; ++i) a->steps[i].seconds = 0.0;
    in_parallel(strips_piece, &f, a->batch * f.pieces, threads, parallel);
    return f.failed ? 1 : 0;
}

}  // namespace
#endif
