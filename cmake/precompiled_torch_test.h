// What tests need beside what they test.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "precompiled_torch.h"
