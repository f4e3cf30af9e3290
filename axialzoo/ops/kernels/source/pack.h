// Conversion between rows of channels and vectors of lanes. Lane l of a group is head (first + l) % G of line (first + l) / G.
#ifndef AXIAL_PACK_H
#define AXIAL_PACK_H

#include "vector.h"

namespace {

// Lanes of a group that belong to one line: `count` heads from `head` on, in lanes from `lane` on.
struct Run {
    int64_t line, head, count, lane;
};

// Splits `lanes` lanes from `first` on into runs, at most LANES of them.
INLINE int runs(int64_t first, int64_t lanes, int64_t heads, Run* to) {
    int count = 0;
    for (int64_t lane = 0; lane < lanes;) {
        const int64_t line = (first + lane) / heads, head = (first + lane) % heads;
        const int64_t length = least(heads - head, lanes - lane);
        to[count++] = Run{line, head, length, lane};
        lane += length;
    }
    return count;
}

// Copies the depths of a run at one position, `heads` floats apart, to to[d * LANES + lane].
template <int COUNT>
INLINE void gather(const float* from, int64_t heads, int64_t depth, int64_t count, float* to) {
    for (int64_t d = 0; d < depth; ++d, from += heads, to += LANES) {
        if (COUNT) {
            memcpy(to, from, sizeof(float) * COUNT);
        } else {
            for (int64_t i = 0; i < count; ++i) to[i] = from[i];
        }
    }
}

INLINE void gather(const float* from, int64_t heads, int64_t depth, int64_t count, float* to) {
    if (count == 16) return gather<16>(from, heads, depth, count, to);
    if (count == 8) return gather<8>(from, heads, depth, count, to);
    if (count == 4) return gather<4>(from, heads, depth, count, to);
    return gather<0>(from, heads, depth, count, to);
}

// Copies (L, depth) of each run's lanes from the rows of its line to (L, depth, LANES).
template <class Arguments>
INLINE void fetch_rows(const Arguments& a, const Run* run, int count, const float* from, int64_t batch, int64_t other, int64_t position,
                       int64_t depth, float* to) {
    for (int r = 0; r < count; ++r) {
        const float* x = from + run[r].line / a.others * batch + run[r].line % a.others * other + run[r].head;
        float* lane = to + run[r].lane;
        for (int64_t p = 0; p < a.length; ++p, x += position, lane += depth * LANES) gather(x, a.heads, depth, run[r].count, lane);
    }
}

// Copies the lanes of a vector to one channel of each head of the run, `stride` floats apart.
INLINE void scatter(const float* from, const Run& run, float* to, int64_t stride) {
    from += run.lane;
    to += run.head * stride;
    if (stride != 1) {
        for (int64_t i = 0; i < run.count; ++i) to[i * stride] = from[i];
    } else if (run.count == 16) {
        memcpy(to, from, 64);
    } else if (run.count == 8) {
        memcpy(to, from, 32);
    } else if (run.count == 4) {
        memcpy(to, from, 16);
    } else {
        for (int64_t i = 0; i < run.count; ++i) to[i] = from[i];
    }
}

// Copies (count, heads) to vectors of the group's lanes, times `factor`.
INLINE void spread(const float* from, int64_t first, int64_t heads, int64_t count, float factor, float* to) {
    for (int64_t d = 0; d < count; ++d) {
        for (int64_t l = 0; l < LANES; ++l) to[d * LANES + l] = factor * from[d * heads + (first + l) % heads];
    }
}

}  // namespace
#endif
