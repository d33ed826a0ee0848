#include "interpreter/pool.h"

#include <gtest/gtest.h>

namespace intaglio::interp {
namespace {

Tensor bytes(Pool& pool, int64_t count) { return pool.empty(DType::uint8, {count}); }

TEST(Pool, FreeBlocksAreUsedAgain) {
  Pool pool;
  const void* first = bytes(pool, 100000).raw();
  EXPECT_EQ(bytes(pool, 90000).raw(), first);
  const Tensor held = bytes(pool, 100000);
  EXPECT_EQ(held.raw(), first);
  EXPECT_NE(bytes(pool, 100000).raw(), first);
}

TEST(Pool, SmallRequestsLeaveLargeBlocksAlone) {
  Pool pool;
  const void* large = bytes(pool, 1000000).raw();
  const Tensor small = bytes(pool, 10000);
  EXPECT_NE(small.raw(), large);
  EXPECT_EQ(bytes(pool, 1000000).raw(), large);
}

TEST(Pool, ALargerBlockTakesThePlaceOfAFreeSmallerOne) {
  Pool pool;
  std::weak_ptr<Storage> smaller, small;
  {
    const Tensor a = bytes(pool, 100000), b = bytes(pool, 50000);
    smaller = a.storage();
    small = b.storage();
  }
  const Tensor held = bytes(pool, 50000);
  EXPECT_EQ(held.storage(), small.lock());
  bytes(pool, 200000);
  EXPECT_TRUE(smaller.expired());
  EXPECT_FALSE(small.expired());
  bytes(pool, 300000);
  EXPECT_FALSE(small.expired());  // somebody has it
}

TEST(Pool, TrimKeepsWhatIsHeld) {
  Pool pool;
  const Tensor held = bytes(pool, 100000);
  std::weak_ptr<Storage> idle = bytes(pool, 100000).storage();
  EXPECT_FALSE(idle.expired());
  pool.trim();
  EXPECT_TRUE(idle.expired());
  EXPECT_NE(bytes(pool, 100000).storage(), held.storage());
}

}  // namespace
}  // namespace intaglio::interp
