"""Plans of these tests speak of end points of ALS, which are known once the disease is loaded."""

from equipoise.simulate.diseases import disease

disease("als")
