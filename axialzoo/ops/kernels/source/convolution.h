// Convolutions as products that copy nothing. A table points to the input of each row of a block at each tap of the kernel; the middle of a
// long line needs none.
#ifndef AXIAL_CONVOLUTION_H
#define AXIAL_CONVOLUTION_H

#include "threads.h"
#include "tiles.h"

namespace {

constexpr int64_t NARROW = 16;  // inputs below which the taps of a kernel are copied into one row
constexpr int64_t WIDE = 48;    // positions of a line from which on it is computed as a line

struct Convolution {
    const AxialStep* a;
    const float* zeros;
    int64_t slices;  // slices of the outputs: the number of pieces per block of rows
    bool failed;
};

// Copies the taps of one row of narrow inputs to one row.
inline void copy_taps(const AxialStep& a, int64_t n, int64_t h, int64_t w, float* to) {
    const int64_t top = h * a.stride - a.padding, left = w * a.stride - a.padding, run = a.side * a.inputs;
    const bool joined = a.dilation == 1 && a.x.position == a.inputs && left >= 0 && left + a.side <= a.in_width;  // a line of taps is one run
    for (int64_t i = 0; i < a.side; ++i, to += run) {
        const int64_t line = top + i * a.dilation;
        if (line < 0 || line >= a.in_height) {
            for (int64_t k = 0; k < run; ++k) to[k] = 0.0f;
            continue;
        }
        const float* from = at(a.x, n, line, left);
        if (joined) {
            for (int64_t k = 0; k < run; ++k) to[k] = from[k];
            continue;
        }
        for (int64_t j = 0; j < a.side; ++j) {
            const int64_t position = left + j * a.dilation;
            const bool inside = position >= 0 && position < a.in_width;
            for (int64_t c = 0; c < a.inputs; ++c) to[j * a.inputs + c] = inside ? from[j * a.dilation * a.x.position + c] : 0.0f;
        }
    }
}

// Computes `rows` positions of the result, at most BLOCK, from position `begin` of all images on; one slice of the outputs.
inline void convolution_block(Convolution& f, int64_t begin, int64_t rows, int64_t slice) {
    static thread_local Scratch scratch, pointers;
    const AxialStep& a = *f.a;
    const int64_t taps = a.side * a.side, panels = divide_up(a.outputs, WIDTH);
    const bool narrow = taps > 1 && a.inputs < NARROW;
    const int64_t copied = narrow ? taps * a.inputs : 0;
    float* sums = scratch.floats(BLOCK * (WIDTH + copied));
    const float** table = reinterpret_cast<const float**>(pointers.floats(2 * (taps + 2) * BLOCK));  // a pointer is at most two floats
    if (sums == nullptr || table == nullptr) {
        f.failed = true;
        return;
    }
    const float** residual = table + taps * BLOCK;
    float** y = const_cast<float**>(residual + BLOCK);
    int64_t w = begin % a.width, h = begin / a.width % a.height, n = begin / a.width / a.height;
    const auto next = [&] {
        if (++w == a.width) w = 0, ++h;
        if (h == a.height) h = 0, ++n;
    };
    for (int64_t row = 0; row < rows; ++row, next()) {
        y[row] = at(a.y, n, h, w);
        residual[row] = at(a.residual, n, h, w);
        if (narrow) {
            float* to = sums + BLOCK * WIDTH + row * copied;
            copy_taps(a, n, h, w, to);
            table[row] = to;
            continue;
        }
        const int64_t top = h * a.stride - a.padding, left = w * a.stride - a.padding;
        if (taps == 1) {
            table[row] = at(a.x, n, top, left);
            continue;
        }
        for (int64_t i = 0, tap = 0; i < a.side; ++i) {
            const int64_t line = top + i * a.dilation;
            const bool inside = line >= 0 && line < a.in_height;
            const float* from = at(a.x, n, line, left);
            for (int64_t j = 0; j < a.side; ++j, ++tap) {
                const int64_t position = left + j * a.dilation;
                table[tap * BLOCK + row] = inside && position >= 0 && position < a.in_width ? from + j * a.dilation * a.x.position : f.zeros;
            }
        }
    }
    const Scattered all_rows{table, y, a.residual.data == nullptr ? nullptr : residual};
    panels_of_rows(a, all_rows, rows, narrow ? 1 : taps, narrow ? copied : a.inputs, sums, panels * slice / f.slices, panels * (slice + 1) / f.slices);
}

// Computes `count` positions from `w` on of a line, or of lines that follow one another in memory; no tap leaves the line.
inline void convolution_run(Convolution& f, int64_t n, int64_t h, int64_t w, int64_t count) {
    static thread_local Scratch scratch;
    const AxialStep& a = *f.a;
    const bool joined = a.dilation == 1 && a.x.position == a.inputs;  // a line of taps is one run of channels
    const int64_t across = joined ? 1 : a.side, inputs = joined ? a.side * a.inputs : a.inputs, taps = a.side * across;
    const int64_t top = h * a.stride - a.padding, left = w * a.stride - a.padding, step = a.stride * a.x.position;
    float* sums = scratch.floats(BLOCK * WIDTH + 4 * taps);
    if (sums == nullptr) {
        f.failed = true;
        return;
    }
    const float** first = reinterpret_cast<const float**>(sums + BLOCK * WIDTH);  // pointers and distances are at most two floats
    int64_t* steps = reinterpret_cast<int64_t*>(sums + BLOCK * WIDTH + 2 * taps);
    for (int64_t done = 0; done < count; done += BLOCK) {
        const int64_t rows = least(BLOCK, count - done);
        for (int64_t i = 0, tap = 0; i < a.side; ++i) {
            const int64_t line = top + i * a.dilation;
            const bool inside = line >= 0 && line < a.in_height;
            const float* from = at(a.x, n, line, left) + done * step;
            for (int64_t j = 0; j < across; ++j, ++tap) {
                first[tap] = inside ? from + j * a.dilation * a.x.position : f.zeros;
                steps[tap] = inside ? step : 0;
            }
        }
        const float* residual = at(a.residual, n, h, w);
        if (residual != nullptr) residual += done * a.residual.position;
        const Consecutive all_rows{first, steps, at(a.y, n, h, w) + done * a.y.position, residual, a.y.position, a.residual.position};
        panels_of_rows(a, all_rows, rows, taps, inputs, sums, 0, divide_up(a.outputs, WIDTH));
    }
}

// Returns whether the positions of a map follow one another from line to line too.
INLINE bool is_dense(const AxialMap& map, int64_t width) { return map.data == nullptr || (map.line == width * map.position && map.ring == 0); }

// Computes lines `begin` to `end` of image n: the middle of each as a run, its ends by tables.
inline void convolution_lines(Convolution& f, int64_t n, int64_t begin, int64_t end) {
    const AxialStep& a = *f.a;
    const int64_t first = (n * a.height + begin) * a.width, last = (n * a.height + end) * a.width, rows = tile_rows(least(WIDTH, a.outputs));
    if (a.side == 1 && is_dense(a.x, a.width) && is_dense(a.residual, a.width) && is_dense(a.y, a.width)) {
        return convolution_run(f, n, begin, 0, last - first);
    }
    int64_t left = divide_up(a.padding, a.stride), right = (a.in_width + a.padding - a.dilation * (a.side - 1) - 1) / a.stride + 1;  // inside
    left = divide_up(left, rows) * rows, right = most(left, least(right, a.width));
    right -= (right - left) % rows;
    if (a.width < WIDE || right - left < rows) {
        for (int64_t row = first; row < last; row += BLOCK) convolution_block(f, row, least(last - row, BLOCK), 0);
        return;
    }
    for (int64_t h = begin; h < end; ++h) {
        const int64_t line = (n * a.height + h) * a.width;
        if (left > 0) convolution_block(f, line, left, 0);
        convolution_run(f, n, h, left, right - left);
        if (right < a.width) convolution_block(f, line + right, a.width - right, 0);
    }
}

inline void convolution_piece(void* data, int64_t index) {
    Convolution& f = *static_cast<Convolution*>(data);
    const int64_t begin = index / f.slices * BLOCK, total = f.a->batch * f.a->height * f.a->width;
    convolution_block(f, begin, least(total - begin, BLOCK), index % f.slices);
}

inline void convolution_line(void* data, int64_t index) {
    Convolution& f = *static_cast<Convolution*>(data);
    const int64_t n = index / f.a->height, h = index % f.a->height;
    convolution_lines(f, n, h, h + 1);
}

// Returns zeros for the inputs beyond the edges, or null without memory for them.
inline const float* padding_of(const AxialStep& a) {
    static thread_local Scratch scratch;
    const int64_t count = a.side * a.inputs;
    float* zeros = scratch.floats(count);
    if (zeros != nullptr) memset(zeros, 0, sizeof(float) * static_cast<size_t>(count));
    return zeros;
}

inline int convolution(const AxialStep* a, int threads, AxialParallel parallel) {
    Convolution f{a, padding_of(*a), 1, false};
    if (f.zeros == nullptr) return 1;
    const int64_t blocks = divide_up(a->batch * a->height * a->width, BLOCK), panels = divide_up(a->outputs, WIDTH);
    if (a->width >= WIDE && a->batch * a->height >= 4 * threads) {
        in_parallel(convolution_line, &f, a->batch * a->height, threads, parallel);
    } else {
        f.slices = threads > 1 && blocks < 4 * threads ? least(panels, 2 * threads) : 1;
        in_parallel(convolution_piece, &f, blocks * f.slices, threads, parallel);
    }
    return f.failed ? 1 : 0;
}

}  // namespace
#endif
