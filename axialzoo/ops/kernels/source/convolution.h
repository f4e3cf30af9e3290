// Convolutions as products that copy nothing: a table points to the input of each row of a block at each tap of the kernel.
#ifndef AXIAL_CONVOLUTION_H
#define AXIAL_CONVOLUTION_H

#include "activation.h"
#include "linear.h"
#include "threads.h"

namespace {

constexpr int64_t NARROW = 16;  // inputs below which the taps of a kernel are copied into one row
constexpr int64_t RUN = 128;    // products of a block of the sum: its weights, RUN * WIDTH floats, stay in the first cache

// A block of rows of one panel of outputs.
struct Panel {
    const AxialStep* a;
    const float* const* table;        // (taps, BLOCK): input of each row at each tap
    float* const* y;                  // result of each row at the panel's first output
    const float* const* residual;     // or null
    const float *weight, *bias;       // of the panel
    float* sums;                      // (BLOCK, WIDTH): sums of the blocks before
    int64_t taps, inputs, width;      // width: outputs of the panel as it is packed
    int64_t outputs;                  // outputs of the panel that exist
};

// Part of a sum: taps from `tap` to `taps`, channels from `begin` to `end` of each.
struct Part {
    int64_t tap, taps, begin, end;
    bool first, last;
};

// Adds a part to R rows from `row` on, of which `count` exist, for P vectors of outputs from `from` on.
template <int R, int P>
INLINE void tile(const Panel& p, const Part& part, int64_t row, int64_t count, int64_t from) {
    Vector sum[R][P];
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < P; ++j) {
        sum[i][j] = load(part.first ? p.bias + from + j * LANES : p.sums + (row + i) * WIDTH + from + j * LANES);
    }
    const int64_t width = LANES == 16 ? P * LANES : p.width;  // a constant where a panel is one tile wide
    for (int64_t t = part.tap; t < part.taps; ++t) {
        const float* x[R];
        UNROLL for (int i = 0; i < R; ++i) x[i] = p.table[t * BLOCK + row + i];
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
    if (!part.last) {
        UNROLL for (int i = 0; i < R; ++i) UNROLL for (int j = 0; j < P; ++j) store(p.sums + (row + i) * WIDTH + from + j * LANES, sum[i][j]);
        return;
    }
    const int64_t outputs = p.outputs - from;
    const bool plain = p.a->activation <= AXIAL_RELU && outputs >= P * LANES;
    for (int i = 0; i < count; ++i) {
        float* y = p.y[row + i] + from;
        const float* residual = p.residual == nullptr ? nullptr : p.residual[row + i] + from;
        if (plain) {
            UNROLL for (int j = 0; j < P; ++j) {
                Vector x = sum[i][j];
                if (residual != nullptr) x += load(residual + j * LANES);
                if (p.a->activation == AXIAL_RELU) x = x < 0.0f ? Vector{} : x;
                store(y + j * LANES, x);
            }
        } else {
            for (int j = 0; j * LANES < outputs && j < P; ++j) {
                finish(*p.a, sum[i][j], residual == nullptr ? nullptr : residual + j * LANES, y + j * LANES, least(LANES, outputs - j * LANES));
            }
        }
    }
}

// Adds a part to all rows of a block, in tiles of R rows; the table repeats the last row up to a multiple of R.
template <int R, int P>
inline void rows_of_tiles(const Panel& p, const Part& part, int64_t rows, int64_t from) {
    int64_t row = 0;
    for (; row + R <= rows; row += R) tile<R, P>(p, part, row, R, from);
    for (; row + R / 2 <= rows; row += R / 2) tile<R / 2, P>(p, part, row, R / 2, from);
    for (; row < rows; ++row) tile<1, P>(p, part, row, 1, from);
}

inline void panel_part(const Panel& p, const Part& part, int64_t rows) {
#if AXIAL_LANES == 16
    switch (p.width / LANES) {
        case 1: return rows_of_tiles<12, 1>(p, part, rows, 0);
        case 2: return rows_of_tiles<8, 2>(p, part, rows, 0);
        case 3: return rows_of_tiles<8, 3>(p, part, rows, 0);
        default: return rows_of_tiles<6, 4>(p, part, rows, 0);
    }
#else
    for (int64_t from = 0; from < p.width; from += PANEL * LANES) rows_of_tiles<6, PANEL>(p, part, rows, from);
#endif
}

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
        const float* from = a.x.data + n * a.x.batch + line * a.x.line + left * a.x.position;
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
    const float** table = reinterpret_cast<const float**>(pointers.floats(2 * (taps + 4) * BLOCK));  // a pointer is at most two floats
    if (sums == nullptr || table == nullptr) {
        f.failed = true;
        return;
    }
    const float** residual = table + taps * BLOCK;
    float** y = const_cast<float**>(residual + BLOCK);
    const float** residual_of_panel = residual + 2 * BLOCK;
    float** y_of_panel = const_cast<float**>(residual + 3 * BLOCK);
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
        const float* corner = a.x.data + n * a.x.batch + top * a.x.line + left * a.x.position;
        if (taps == 1) {
            table[row] = corner;
            continue;
        }
        for (int64_t i = 0, tap = 0; i < a.side; ++i) {
            const int64_t line = top + i * a.dilation;
            const bool inside = line >= 0 && line < a.in_height;
            const float* from = corner + i * a.dilation * a.x.line;
            for (int64_t j = 0; j < a.side; ++j, ++tap) {
                const int64_t position = left + j * a.dilation;
                table[tap * BLOCK + row] = inside && position >= 0 && position < a.in_width ? from + j * a.dilation * a.x.position : f.zeros;
            }
        }
    }
    Panel p{&a, table, y_of_panel, a.residual.data == nullptr ? nullptr : residual_of_panel, nullptr, nullptr, sums, narrow ? 1 : taps,
            narrow ? copied : a.inputs, 0, 0};
    for (int64_t panel = panels * slice / f.slices; panel < panels * (slice + 1) / f.slices; ++panel) {
        p.weight = a.weight + panel * WIDTH * taps * a.inputs, p.bias = a.bias + panel * WIDTH;
        p.outputs = least(WIDTH, a.outputs - panel * WIDTH), p.width = divide_up(p.outputs, 16) * 16;
        for (int64_t row = 0; row < rows; ++row) {
            y_of_panel[row] = y[row] + panel * WIDTH;
            if (p.residual != nullptr) residual_of_panel[row] = residual[row] + panel * WIDTH;
        }
        if (p.inputs >= RUN) {  // parts of the channels of one tap
            const int64_t parts = divide_up(p.inputs, RUN);
            for (int64_t t = 0; t < p.taps; ++t) {
                for (int64_t i = 0; i < parts; ++i) {
                    const bool first = t == 0 && i == 0, last = t == p.taps - 1 && i == parts - 1;
                    panel_part(p, Part{t, t + 1, p.inputs * i / parts, p.inputs * (i + 1) / parts, first, last}, rows);
                }
            }
        } else {  // some taps at once
            const int64_t parts = divide_up(p.taps, RUN / p.inputs);
            for (int64_t i = 0; i < parts; ++i) {
                panel_part(p, Part{p.taps * i / parts, p.taps * (i + 1) / parts, 0, p.inputs, i == 0, i == parts - 1}, rows);
            }
        }
    }
}

inline void convolution_piece(void* data, int64_t index) {
    Convolution& f = *static_cast<Convolution*>(data);
    const int64_t begin = index / f.slices * BLOCK, total = f.a->batch * f.a->height * f.a->width;
    convolution_block(f, begin, least(total - begin, BLOCK), index % f.slices);
}

// Returns zeros for the inputs beyond the edges, or null without memory for them.
inline const float* padding_of(const AxialStep& a) {
    static thread_local Scratch scratch;
    float* zeros = scratch.floats(a.inputs);
    if (zeros != nullptr) memset(zeros, 0, sizeof(float) * static_cast<size_t>(a.inputs));
    return zeros;
}

inline int convolution(const AxialStep* a, int threads, AxialParallel parallel) {
    const float* zeros = padding_of(*a);
    if (zeros == nullptr) return 1;
    const int64_t blocks = divide_up(a->batch * a->height * a->width, BLOCK), panels = divide_up(a->outputs, WIDTH);
    Convolution f{a, zeros, threads > 1 && blocks < 4 * threads ? least(panels, 2 * threads) : 1, false};
    in_parallel(convolution_piece, &f, blocks * f.slices, threads, parallel);
    return f.failed ? 1 : 0;
}

}  // namespace
#endif
