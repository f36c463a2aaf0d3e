"""The reference image model: pictures, graph, weights and their fitting."""
