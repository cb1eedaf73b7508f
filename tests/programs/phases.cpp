// Marks its functions for memwatch, in C++: one is left by an exception, and two threads are at work.
//
//     c++ -O2 -pthread -o phases phases.cpp && memwatch run ./phases && memwatch plot --flame

#include <memwatch.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

static std::vector<char> load(std::size_t mib)
{
    MEMWATCH_SCOPE("load");
    std::vector<char> data(mib << 20, 'x');

    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return data;
}

static void fail()
{
    MEMWATCH_SCOPE("fail");
    std::vector<char> data = load(10);

    throw std::runtime_error("no");
}

static void work()
{
    MEMWATCH_SCOPE("work");
    std::vector<char> data = load(20);

    for (int i = 0; i < 1000; i++) {
        MEMWATCH_TIMED_SCOPE("step");
    }
    try {
        fail();
    } catch (const std::runtime_error &) {
    }
}

int main()
{
    MEMWATCH_SCOPE("main");
    std::thread first(work), second(work);

    first.join();
    second.join();
    return 0;
}
