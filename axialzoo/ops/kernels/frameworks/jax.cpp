// The kernel as targets of XLA's foreign function interface, on the threads of XLA's own pool.
#include <condition_variable>
#include <memory>
#include <mutex>

#include "layer.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Floats = ffi::Buffer<ffi::F32>;

thread_local ffi::ThreadPool* pool = nullptr;  // the pool of the call that this thread is in

// Runs `body(data)` on this thread and on the pool's threads. A thread of the pool that starts late finds no work left. Nobody waits for a
// thread that has not begun, because all threads of the pool may be waiting in calls like this one.
void on_pool(void (*body)(void*), void* data, unsigned threads, unsigned) {
    struct Team {
        std::mutex mutex;
        std::condition_variable changed;
        int working = 0;
        bool over = false;
    };
    auto team = std::make_shared<Team>();
    for (unsigned i = 1; i < threads; ++i) {
        pool->Schedule([team, body, data] {
            {
                std::lock_guard<std::mutex> lock(team->mutex);
                if (team->over) return;
                ++team->working;
            }
            body(data);
            std::lock_guard<std::mutex> lock(team->mutex);
            --team->working;
            team->changed.notify_one();
        });
    }
    body(data);
    std::unique_lock<std::mutex> lock(team->mutex);
    team->over = true;
    team->changed.wait(lock, [&] { return team->working == 0; });
}

const float* floats(const Floats& x) { return x.element_count() == 0 ? nullptr : x.typed_data(); }

Array array(const Floats& x) { return Array{floats(x), x.dimensions()[0]}; }

ffi::Error call(ffi::ThreadPool threads, Floats x, Floats weight, Floats bias, Floats query_table, Floats key_table, Floats value_table,
                Floats scales, Floats position_scale, Floats shift, ffi::ResultBuffer<ffi::F32> out, int64_t axis, int64_t key_depth,
                int64_t span, int64_t content_similarity, int64_t content_value, int64_t isa) {
    const auto size = x.dimensions();
    const Layer layer{floats(x), size[0], size[1], size[2], size[3], floats(weight), floats(bias),
                      array(query_table), array(key_table), array(value_table), floats(scales), scales.dimensions()[1],
                      floats(position_scale), floats(shift), shift.dimensions()[0], out->typed_data(),
                      axis, key_depth, span, content_similarity, content_value};
    pool = &threads;
    const int code = attend(layer, static_cast<int>(isa), static_cast<int>(threads.num_threads()), on_pool);
    pool = nullptr;
    return code == 0 ? ffi::Error::Success() : ffi::Error::Internal(message_of(code));
}

ffi::Error run_function(ffi::ThreadPool threads, ffi::RemainingArgs arguments, ffi::RemainingRets results, int64_t function, int64_t isa,
                        ffi::Span<const int64_t> fields) {
    const auto address = [&](int64_t number) -> void* {
        const size_t i = static_cast<size_t>(number), count = arguments.size();
        return i < count ? arguments.get<ffi::AnyBuffer>(i)->untyped_data() : (*results.get<ffi::AnyBuffer>(i - count))->untyped_data();
    };
    pool = &threads;
    const int code = run(function, fields.begin(), fields.size() / 2, static_cast<int>(isa), static_cast<int>(threads.num_threads()), on_pool, address);
    pool = nullptr;
    return code == 0 ? ffi::Error::Success() : ffi::Error::Internal(message_of(code));
}

}  // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    axial_attention, call,
    ffi::Ffi::Bind()
        .Ctx<ffi::ThreadPool>()
        .Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>()
        .Ret<Floats>()
        .Attr<int64_t>("axis").Attr<int64_t>("key_depth").Attr<int64_t>("span")
        .Attr<int64_t>("content_similarity").Attr<int64_t>("content_value").Attr<int64_t>("isa"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    axial_run, run_function,
    ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().RemainingRets().Attr<int64_t>("function").Attr<int64_t>("isa")
        .Attr<ffi::Span<const int64_t>>("fields"));
#pragma GCC visibility pop
