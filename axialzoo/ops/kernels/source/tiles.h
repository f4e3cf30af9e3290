// Products of a block of rows and panels of a weight, for convolutions: rows anywhere, or rows that follow one another.
#ifndef AXIAL_TILES_H
#define AXIAL_TILES_H

#include "activation.h"
#include "linear.h"

namespace {

constexpr int64_t RUN = 8192;  // weights of a block of the sum, which stay in the first cache

// A panel of outputs.
struct Panel {
    const AxialStep* a;
    const float *weight, *bias;       // of the panel
    float* sums;                      // (BLOCK, WIDTH): sums of the blocks before
    int64_t taps, inputs, width;      // width: outputs of the panel as it is packed
    int64_t first, outputs;           // first output, outputs of the panel that exist
};

// Rows of a block, anywhere: a table points to the input of each row at each tap, (taps, BLOCK), and to its result and residual.
struct Scattered {
    const float* const* table;
    float* const* results;
    const float* const* residuals;  // or null
    INLINE const float* x(int64_t tap, int64_t row) const { return table[tap * BLOCK + row]; }
    INLINE float* y(int64_t row) const { return results[row]; }
    INLINE const float* residual(int64_t row) const { return residuals == nullptr ? nullptr : residuals[row]; }
};

// Rows of a block that follow one another in a line: the input of the first at each tap, and the distance to the next.
struct Consecutive {
    const float* const* first;
    const int64_t* steps;
    float* result;
    const float* other;  // residual, or null
    int64_t result_step, other_step;
    INLINE const float* x(int64_t tap, int64_t row) const { return first[tap] + row * steps[tap]; }
    INLINE float* y(int64_t row) const { return result + row * result_step; }
    INLINE const float* residual(int64_t row) const { return other == nullptr ? nullptr : other + row * other_step; }
};

// Part of a sum: taps from `tap` to `taps`, channels from `begin` to `end` of each.
struct Part {
    int64_t tap, taps, begin, end;
    bool first, last;
};

// Ends `outputs` sums of a row. It is not inlined, because its constants would take registers from the tile.
__attribute__((noinline)) void finish_row(const AxialStep& a, const float* sums, const float* residual, float* y, int64_t outputs) {
    for (int64_t c = 0; c < outputs; c += LANES) {
        finish(a, load(sums + c), residual == nullptr ? nullptr : residual + c, y + c, least(LANES, outputs - c));
    }
}

// Adds a part to R rows from `row` on for P vectors of outputs from `from` on.
template <int R, int P, class Rows>
INLINE void tile(const Panel& p, const Rows& rows, const Part& part, int64_t row, int64_t from) {
    Vector sum[R][P];
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < P; ++j) {
        sum[i][j] = load(part.first ? p.bias + from + j * LANES : p.sums + (row + i) * WIDTH + from + j * LANES);
    }
    const int64_t width = LANES == 16 ? P * LANES : p.width;  // a constant where a panel is one tile wide
    for (int64_t t = part.tap; t < part.taps; ++t) {
        const float* x[R];
        UNROLL for (int i = 0; i < R; ++i) {
            x[i] = rows.x(t, row + i);
            asm("" : "+r"(x[i]));  // a register of its own, else GCC keeps offsets in vector registers and a weight in memory
        }
        const float* weight = p.weight + (t * p.inputs + part.begin) * width + from;
        for (int64_t c = part.begin; c < part.end; ++c, weight += width) {
            Vector w[P];
            UNROLL for (int j = 0; j < P; ++j) w[j] = load(weight + j * LANES);
            UNROLL for (int i = 0; i < R; ++i) {
                const Vector value = all(x[i][c]);
                UNROLL for (int j = 0; j < P; ++j) sum[i][j] += value * w[j];
            }
        }
    }
    asm volatile("" ::: "memory");  // what follows is loaded here, not before the products, whose registers it would take
    if (!part.last) {
        UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < P; ++j) store(p.sums + (row + i) * WIDTH + from + j * LANES, sum[i][j]);
        return;
    }
    const int64_t outputs = p.outputs - from;
    const bool plain = is_plain(*p.a) && outputs >= P * LANES;
    const bool relu = p.a->activation == AXIAL_RELU;
    for (int i = 0; i < R; ++i) {
        float* y = rows.y(row + i) + p.first + from;
        const float* residual = rows.residual(row + i);
        if (residual != nullptr) residual += p.first + from;
        if (plain) {
            UNROLL for (int j = 0; j < P; ++j) {
                Vector x = sum[i][j];
                if (residual != nullptr) x += load(residual + j * LANES);
                if (relu) x = x < 0.0f ? Vector{} : x;  // no vector of its own, which would push a weight out of the registers
                store(y + j * LANES, x);
            }
        } else {
            if (P == 1 && is_plain(*p.a) && residual == nullptr) {  // heads of few classes
                store_some(y, relu ? (sum[i][0] < 0.0f ? Vector{} : sum[i][0]) : sum[i][0], least(LANES, outputs));
                continue;
            }
            float lanes[P * LANES];
            UNROLL for (int j = 0; j < P; ++j) store(lanes + j * LANES, sum[i][j]);
            finish_row(*p.a, lanes, residual, y, least(P * LANES, outputs));
        }
    }
}

// Adds a part to all rows of a block, in tiles of R rows.
template <int R, int P, class Rows>
inline void rows_of_tiles(const Panel& p, const Rows& all_rows, const Part& part, int64_t rows, int64_t from) {
    int64_t row = 0;
    for (; row + R <= rows; row += R) tile<R, P>(p, all_rows, part, row, from);
    for (; row + R / 2 <= rows; row += R / 2) tile<R / 2, P>(p, all_rows, part, row, from);
    for (; row < rows; ++row) tile<1, P>(p, all_rows, part, row, from);
}

// Rows of a tile of a panel so many outputs wide.
INLINE int64_t tile_rows(int64_t width) { return LANES != 16 || width > 48 ? 6 : width <= 16 ? 12 : 8; }

template <class Rows>
inline void panel_part(const Panel& p, const Rows& all_rows, const Part& part, int64_t rows) {
#if AXIAL_LANES == 16
    switch (p.width / LANES) {
        case 1: return rows_of_tiles<12, 1>(p, all_rows, part, rows, 0);
        case 2: return rows_of_tiles<8, 2>(p, all_rows, part, rows, 0);
        case 3: return rows_of_tiles<8, 3>(p, all_rows, part, rows, 0);
        default: return rows_of_tiles<6, 4>(p, all_rows, part, rows, 0);
    }
#else
    for (int64_t from = 0; from < p.width; from += PANEL * LANES) rows_of_tiles<6, PANEL>(p, all_rows, part, rows, from);
#endif
}

// Computes panels `begin` to `end` of a block of rows, whose kernel has `taps` taps of so many inputs each.
template <class Rows>
inline void panels_of_rows(const AxialStep& a, const Rows& all_rows, int64_t rows, int64_t taps, int64_t inputs, float* sums, int64_t begin, int64_t end) {
    Panel p{&a, nullptr, nullptr, sums, taps, inputs, 0, 0, 0};
    for (int64_t panel = begin; panel < end; ++panel) {
        p.weight = a.weight + panel * WIDTH * taps * inputs, p.bias = a.bias + panel * WIDTH;
        p.first = panel * WIDTH, p.outputs = least(WIDTH, a.outputs - p.first), p.width = divide_up(p.outputs, 16) * 16;
        const int64_t run = RUN / p.width;
        if (inputs >= run) {  // parts of the channels of one tap
            const int64_t parts = divide_up(inputs, run);
            for (int64_t t = 0; t < taps; ++t) {
                for (int64_t i = 0; i < parts; ++i) {
                    const bool first = t == 0 && i == 0, last = t == taps - 1 && i == parts - 1;
                    panel_part(p, all_rows, Part{t, t + 1, inputs * i / parts, inputs * (i + 1) / parts, first, last}, rows);
                }
            }
        } else {  // some taps at once
            const int64_t parts = divide_up(taps, run / inputs);
            for (int64_t i = 0; i < parts; ++i) {
                panel_part(p, all_rows, Part{taps * i / parts, taps * (i + 1) / parts, 0, inputs, i == 0, i == parts - 1}, rows);
            }
        }
    }
}

}  // namespace
#endif
