// The two most probable slots of each pixel of a mask transformer, from logits that are resized bilinearly on the way.
#ifndef AXIAL_SLOTS_H
#define AXIAL_SLOTS_H

#include "threads.h"

namespace {

constexpr int64_t SLOT_ROWS = 16;  // rows of the result in a piece
constexpr float BELOW_ALL = -1e30f;

struct SlotWork {
    const AxialSlots* a;
    int64_t padded;  // slots, rounded up to whole vectors
    bool failed;
};

// Returns the first place of the largest of `count` values; `except` is left out.
INLINE int64_t first_largest(const float* values, int64_t count, int64_t except) {
    int64_t place = -1;
    for (int64_t s = 0; s < count; ++s) {
        if (s != except && (place < 0 || values[s] > values[place])) place = s;
    }
    return place;
}

// Resizes one row of the maps vertically: (columns, padded), the slots beyond the last below all others.
INLINE void vertical(const SlotWork& w, int64_t y, float* line) {
    const AxialSlots& a = *w.a;
    const float *above = a.maps + a.row[y] * a.columns * a.slots, *below = a.maps + a.row_after[y] * a.columns * a.slots;
    const float share = a.row_share[y];
    for (int64_t j = 0; j < a.columns; ++j, above += a.slots, below += a.slots, line += w.padded) {
        for (int64_t s = 0; s < a.slots; ++s) line[s] = (1.0f - share) * above[s] + share * below[s];
        for (int64_t s = a.slots; s < w.padded; ++s) line[s] = BELOW_ALL;
    }
}

INLINE void pixel(const SlotWork& w, const float* before, const float* after, float share, int64_t index, float* logits) {
    const AxialSlots& a = *w.a;
    Vector highest = all(2 * BELOW_ALL);
    for (int64_t s = 0; s < w.padded; s += LANES) {
        const Vector x = load(before + s) * (1.0f - share) + load(after + s) * share;
        store(logits + s, x);
        highest = x > highest ? x : highest;
    }
    float top = highest[0];
    for (int l = 1; l < LANES; ++l) top = highest[l] > top ? highest[l] : top;
    int64_t place = 0;
    while (logits[place] != top) ++place;
    a.best[index] = static_cast<int32_t>(place);
    if (a.offsets != nullptr) {  // the softmax is over some of the slots
        highest = all(2 * BELOW_ALL);
        for (int64_t s = 0; s < w.padded; s += LANES) {
            const Vector x = load(logits + s) + load(a.offsets + s);
            store(logits + s, x);
            highest = x > highest ? x : highest;
        }
        top = highest[0];
        for (int l = 1; l < LANES; ++l) top = highest[l] > top ? highest[l] : top;
    }
    Vector sum{};
    for (int64_t s = 0; s < w.padded; s += LANES) sum += exp2((load(logits + s) - top) * LOG2E);
    float total = 0;
    for (int l = 0; l < LANES; ++l) total += sum[l];
    a.scores[index] = 1.0f / total;
    if (a.second == nullptr) return;
    a.second[index] = -1, a.second_scores[index] = 0;
    if (total <= 1.4f || a.slots < 2) return;  // no other slot has a probability of more than 2 / 7
    const int64_t other = first_largest(logits, a.slots, place);
    a.second[index] = static_cast<int32_t>(other);
    a.second_scores[index] = exp2(all((logits[other] - top) * LOG2E))[0] / total;
}

inline void slots_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    SlotWork& w = *static_cast<SlotWork*>(data);
    const AxialSlots& a = *w.a;
    float* line = scratch.floats((a.columns + 1) * w.padded);
    if (line == nullptr) {
        w.failed = true;
        return;
    }
    for (int64_t y = index * SLOT_ROWS; y < least(a.height, (index + 1) * SLOT_ROWS); ++y) {
        vertical(w, y, line);
        for (int64_t x = 0; x < a.width; ++x) {
            const float *before = line + a.column[x] * w.padded, *after = line + a.column_after[x] * w.padded;
            pixel(w, before, after, a.column_share[x], y * a.width + x, line + a.columns * w.padded);
        }
    }
}

inline int slots(const AxialSlots* a, int threads, AxialParallel parallel) {
    SlotWork w{a, divide_up(a->slots, LANES) * LANES, false};
    in_parallel(slots_piece, &w, divide_up(a->height, SLOT_ROWS), threads, parallel);
    return w.failed ? 1 : 0;
}

}  // namespace
#endif
