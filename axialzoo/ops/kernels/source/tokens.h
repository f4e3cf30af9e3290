// Operations of mask transformers: norms of one position, products of pixels with tokens, sums of the pixels of each token.
#ifndef AXIAL_TOKENS_H
#define AXIAL_TOKENS_H

#include "convolution.h"

namespace {

INLINE float sum_of(Vector x) {
    float total = 0.0f;
    for (int l = 0; l < LANES; ++l) total += x[l];
    return total;
}

// Layer normalisation of the channels of each position of a line, or division by their length.
inline void norm_piece(void* data, int64_t index) {
    const AxialStep& a = *static_cast<const AxialStep*>(data);
    const int64_t n = index / a.height, h = index % a.height, channels = a.outputs;
    for (int64_t w = 0; w < a.width; ++w) {
        const float *x = at(a.x, n, h, w), *residual = at(a.residual, n, h, w);
        float mean = 0.0f;
        if (a.kind == AXIAL_LAYER_NORM) {
            Vector sum{};
            for (int64_t c = 0; c < channels; c += LANES) sum += load_some(x + c, least(LANES, channels - c));
            mean = sum_of(sum) / static_cast<float>(channels);
        }
        Vector squares{};
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t count = least(LANES, channels - c);
            const Vector centred = load_some(x + c, count) - mean;
            float lanes[LANES];
            store(lanes, centred);
            for (int64_t l = count; l < LANES; ++l) lanes[l] = 0.0f;
            squares += load(lanes) * load(lanes);
        }
        const float total = sum_of(squares), epsilon = static_cast<float>(a.epsilon);
        const float square = a.kind == AXIAL_LAYER_NORM ? total / static_cast<float>(channels) + epsilon : total > epsilon ? total : epsilon;
        const float scale = 1.0f / __builtin_sqrtf(square);
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t count = least(LANES, channels - c);
            Vector y = (load_some(x + c, count) - mean) * scale;
            if (a.kind == AXIAL_LAYER_NORM) y = y * load_some(a.weight + c, count) + load_some(a.bias + c, count);
            finish(a, y, residual == nullptr ? nullptr : residual + c, at(a.y, n, h, w) + c, count);
        }
    }
}

// Products of every position with the tokens of its image: a 1x1 convolution whose weight is packed for each image.
inline int product_with_tokens(const AxialStep* a, int threads, AxialParallel parallel) {
    static thread_local Scratch scratch;
    const int64_t panels = divide_up(a->outputs, WIDTH);
    float* weight = scratch.floats(panels * WIDTH * a->inputs);
    if (weight == nullptr) return 1;
    for (int64_t n = 0; n < a->batch; ++n) {
        AxialStep step = *a;
        for (int64_t panel = 0; panel < panels; ++panel) {
            const int64_t first = panel * WIDTH, outputs = least(WIDTH, a->outputs - first), width = divide_up(outputs, 16) * 16;
            float* to = weight + first * a->inputs;
            for (int64_t o = 0; o < width; ++o) {
                const float* from = o < outputs ? at(a->factor, n, 0, first + o) : nullptr;
                for (int64_t c = 0; c < a->inputs; ++c) to[c * width + o] = from == nullptr ? 0.0f : from[c];
            }
        }
        step.batch = 1, step.side = 1, step.stride = 1, step.dilation = 1, step.padding = 0, step.weight = weight;
        step.x.data = at(a->x, n, 0, 0), step.y.data = at(a->y, n, 0, 0), step.residual.data = at(a->residual, n, 0, 0);
        const int code = convolution(&step, threads, parallel);
        if (code != 0) return code;
    }
    return 0;
}

struct Clusters {
    const AxialStep* a;
    int32_t* owners;  // (N, H, W) of x: channel with the largest value
    bool failed;
};

inline void owner_piece(void* data, int64_t index) {
    const Clusters& f = *static_cast<const Clusters*>(data);
    const AxialStep& a = *f.a;
    const int64_t n = index / a.in_height, h = index % a.in_height;
    for (int64_t w = 0; w < a.in_width; ++w) {
        const float* x = at(a.x, n, h, w);
        int64_t best = 0;
        for (int64_t c = 1; c < a.inputs; ++c) best = x[c] > x[best] ? c : best;
        f.owners[index * a.in_width + w] = static_cast<int32_t>(best);
    }
}

// Sums of LANES channels of the values of each owner's positions, in double precision.
inline void cluster_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    Clusters& f = *static_cast<Clusters*>(data);
    const AxialStep& a = *f.a;
    const int64_t groups = divide_up(a.outputs, LANES), n = index / groups, c = index % groups * LANES, count = least(LANES, a.outputs - c);
    double* sums = reinterpret_cast<double*>(scratch.floats(2 * a.width * LANES));
    if (sums == nullptr) {
        f.failed = true;
        return;
    }
    for (int64_t i = 0; i < a.width * LANES; ++i) sums[i] = 0.0;
    const int32_t* owner = f.owners + n * a.in_height * a.in_width;
    for (int64_t h = 0; h < a.in_height; ++h) {
        for (int64_t w = 0; w < a.in_width; ++w, ++owner) {
            const float* value = at(a.factor, n, h, w) + c;
            double* sum = sums + *owner * LANES;
            for (int64_t l = 0; l < count; ++l) sum[l] += static_cast<double>(value[l]);
        }
    }
    for (int64_t token = 0; token < a.width; ++token) {
        Vector x{};
        for (int64_t l = 0; l < count; ++l) x[l] = static_cast<float>(sums[token * LANES + l]);
        const float* residual = at(a.residual, n, 0, token);
        finish(a, x, residual == nullptr ? nullptr : residual + c, at(a.y, n, 0, token) + c, count);
    }
}

inline int clusters(const AxialStep* a, int threads, AxialParallel parallel) {
    static thread_local Scratch scratch;
    Clusters f{a, reinterpret_cast<int32_t*>(scratch.floats(a->batch * a->in_height * a->in_width)), false};
    if (f.owners == nullptr) return 1;
    in_parallel(owner_piece, &f, a->batch * a->in_height, threads, parallel);
    in_parallel(cluster_piece, &f, a->batch * divide_up(a->outputs, LANES), threads, parallel);
    return f.failed ? 1 : 0;
}

}  // namespace
#endif
